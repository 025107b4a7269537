"""YOLOv3 with detectron2's parts.

| variant | training | v1's AP (theirs, on another code base) |
|---|---|---|
| `darknet53_500k_baseline` | COCO, objectness: YOLOv3's own form | 33.0 |
| `darknet53_500k` | the same, all anchors, guided scale as in v1 | 33.9 |
| `shapes_baseline`, `shapes` | the generated shapes, a small network | |

COCO: `--num-gpus 8`, 500,200 iterations at batch 64; not run here. Shapes: minutes on 2 cores, three times
the iterations of the other detectors, as one anchor a box learns slowly.
"""

from sampling_free.config import LazyCall as L
from sampling_free.detectors import yolov3 as yolov3_head
from sampling_free.detectors.yolov3 import SMALL_ANCHORS
from sampling_free.detectron2 import YOLOV3, DarkNet53Backbone
from sampling_free.detectron2.models import own_form, yolov3

from ..common.schedules import steps
from .common.dense import RGB, at_sizes_of_yolov3, on_coco, sampling_free
from .common.shapes import NUM_CLASSES, on_shapes


def darknet53_500k_baseline():
    """Objectness."""
    head = L(yolov3_head)(num_classes=80, **own_form("yolov3"))
    backbone = L(DarkNet53Backbone)(weights="DEFAULT")
    cfg = at_sizes_of_yolov3(
        on_coco(L(YOLOV3)(backbone=backbone, head=head, head_in_features=["c3", "c4", "c5"], **RGB))
    )
    cfg.dataloader.train.total_batch_size = 64
    # darknet's rate is 1e-3 for sums over the images; here they are divided by the foreground, seven or so an image
    cfg.optimizer.update(lr=0.01, weight_decay=5e-4)
    cfg.lr_multiplier = steps(500_200, [400_000, 450_000], warmup=1_000, start=0.01)
    cfg.train.update(max_iter=500_200, init_checkpoint="")
    return cfg


def darknet53_500k():
    """Sampling-free, at the scale of v1."""
    return sampling_free(darknet53_500k_baseline())


def shapes_baseline():
    """Objectness on the shapes."""
    model = yolov3(NUM_CLASSES, anchors=SMALL_ANCHORS, **own_form("yolov3"))
    return on_shapes(model, max_iter=2400, warmup=120, start=0.1, evaluations=3, clip_grad=10, prior=None)


def shapes():
    """Sampling-free on the shapes, at the scale of v1."""
    return sampling_free(shapes_baseline())
