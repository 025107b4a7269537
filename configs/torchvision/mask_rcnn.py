"""Mask R-CNN with torchvision.

| variant | training | the papers' AP (theirs, on another code base) |
|---|---|---|
| `coco_baseline` | COCO, ResNet-50-FPN, biased sampling: torchvision's own | 37.8 box, 34.2 mask |
| `coco` | the same, sampling-free in RPN and RoI head, as in v1 | 39.0 box, 34.9 mask |
| `shapes_baseline`, `shapes` | the generated shapes, a narrow network | |

COCO: 90,000 iterations at batch 16, hours on 8 GPUs; not run here. Shapes: about 4 minutes on 2 cores.
"""

from torchvision.models.detection import maskrcnn_resnet50_fpn

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import maskrcnn_resnet10_fpn

from .common.coco import on_coco
from .common.run import masks, sampling_free
from .common.shapes import on_shapes

_LR = 0.02  # the papers' for two-stage detectors


def _resnet50():
    return L(maskrcnn_resnet50_fpn)(weights=None, weights_backbone="DEFAULT", rpn_post_nms_top_n_train=1000)


def coco_baseline():
    """Biased sampling on COCO: torchvision's own."""
    return masks(on_coco(_resnet50(), lr=_LR))


def coco():
    """Sampling-free on COCO in RPN and RoI head, as in v1."""
    return sampling_free(coco_baseline())


def shapes_baseline():
    """Biased sampling on the shapes: torchvision's own."""
    return masks(on_shapes(L(maskrcnn_resnet10_fpn)()))


def shapes():
    """Sampling-free on the shapes in RPN and RoI head, as in v1."""
    # on small images most large anchors straddle the edge; ignoring them would ignore most large objects
    return sampling_free(shapes_baseline(), boundary_threshold=-1)
