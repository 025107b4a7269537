"""Faster R-CNN with torchvision.

| variant | training | the papers' AP (theirs, on another code base) |
|---|---|---|
| `coco_baseline` | COCO, ResNet-50-FPN, biased sampling: torchvision's own | 36.8 |
| `coco` | the same, sampling-free in RPN and RoI head, as in v1 | 38.4 |
| `voc_baseline`, `voc` | VOC 07+12 | mAP at IoU 0.5: 80.9, 81.5; this engine prints COCO's AP50, a near relative |
| `shapes_baseline`, `shapes` | the generated shapes, a narrow network | |

COCO: 90,000 iterations at batch 16, hours on 8 GPUs; VOC: 18,000; not run here. Shapes: about 4 minutes on 2 cores.
"""

from torchvision.models.detection import fasterrcnn_resnet50_fpn

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import fasterrcnn_resnet10_fpn

from .common.coco import on_coco
from .common.run import sampling_free
from .common.shapes import on_shapes
from .common.voc import on_voc

_LR = 0.02  # the papers' for two-stage detectors


def _resnet50():
    return L(fasterrcnn_resnet50_fpn)(weights=None, weights_backbone="DEFAULT", rpn_post_nms_top_n_train=1000)


def coco_baseline():
    """Biased sampling on COCO: torchvision's own."""
    return on_coco(_resnet50(), lr=_LR)


def coco():
    """Sampling-free on COCO in RPN and RoI head, as in v1."""
    return sampling_free(coco_baseline())


def voc_baseline():
    """Biased sampling on VOC 07+12: torchvision's own."""
    return on_voc(_resnet50(), lr=_LR)


def voc():
    """Sampling-free on VOC 07+12 in RPN and RoI head, as in v1."""
    return sampling_free(voc_baseline())


def shapes_baseline():
    """Biased sampling on the shapes: torchvision's own."""
    return on_shapes(L(fasterrcnn_resnet10_fpn)())


def shapes():
    """Sampling-free on the shapes in RPN and RoI head, as in v1."""
    # on small images most large anchors straddle the edge; ignoring them would ignore most large objects
    return sampling_free(shapes_baseline(), boundary_threshold=-1)
