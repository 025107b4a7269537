"""YOLOv3 with torchvision's parts.

| variant | training | v1's AP (theirs, on another code base) |
|---|---|---|
| `coco_baseline` | COCO, DarkNet-53, objectness: YOLOv3's own form | 33.0 |
| `coco` | the same, all anchors, guided scale as in v1 | 33.9 |
| `shapes_baseline`, `shapes` | the generated shapes, a narrow network | |

COCO: 500,200 iterations at batch 64, days on 8 GPUs; not run here. Shapes: minutes on 2 cores, three times
the iterations of the other detectors, as one anchor a box learns slowly.
"""

from sampling_free.config import LazyCall as L
from sampling_free.detectors import Objectness
from sampling_free.mechanism import ConstantScaling
from sampling_free.torchvision import yolov3_darknet53
from sampling_free.torchvision.models import yolov3_resnet10

from ..common.schedules import steps
from .common.coco import on_coco
from .common.shapes import on_shapes

_SIZES = tuple(range(320, 609, 32))


def coco_baseline():
    """Objectness on COCO."""
    return _objectness(coco())


def coco():
    """Sampling-free on COCO, at the scale of v1."""
    # darknet's rate is 1e-3 for sums over the images; here they are divided by the foreground, seven or so an image
    cfg = on_coco(
        L(yolov3_darknet53)(weights_backbone="DEFAULT", min_size=_SIZES, max_size=608),
        lr=0.01,
        lr_multiplier=steps(500_200, [400_000, 450_000], warmup=1_000, start=0.01),
        max_iter=500_200,
    )
    cfg.dataloader.train.total_batch_size = 64
    cfg.optimizer.params.weight_decay = 5e-4
    return cfg


def shapes_baseline():
    """Objectness on the shapes."""
    return _objectness(shapes())


def shapes():
    """Sampling-free on the shapes, at the scale of v1."""
    return on_shapes(L(yolov3_resnet10)(), max_iter=2400, warmup=120, evaluations=3, clip_grad=10)


def _objectness(cfg):
    cfg.model.update(quality=L(Objectness)(), scaling=L(ConstantScaling)())
    cfg.train.prior = None
    return cfg
