"""ATSS with torchvision's parts.

| variant | training | AP |
|---|---|---|
| `coco_baseline` | COCO, ResNet-50-FPN, Focal Loss: ATSS's own form | 39.3 |
| `coco` | the same, sampling-free as in v2 | not given |
| `shapes_baseline`, `shapes` | the generated shapes, a narrow network | |

The figure is that of ATSS's README (theirs). The papers give its sampling-free form on ResNeXt-101-64x4d-DCN alone.
COCO: 90,000 iterations at batch 16, hours on 8 GPUs; not run here. Shapes: about 2 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision import atss_resnet50_fpn
from sampling_free.torchvision.models import atss_resnet10_fpn

from .common.coco import on_coco
from .common.run import focal_loss
from .common.shapes import on_shapes


def coco_baseline():
    """Focal Loss on COCO."""
    return focal_loss(coco())


def coco():
    """Sampling-free on COCO, as in v2."""
    return on_coco(L(atss_resnet50_fpn)(weights_backbone="DEFAULT"))


def shapes_baseline():
    """Focal Loss on the shapes."""
    return focal_loss(shapes())


def shapes():
    """Sampling-free on the shapes, as in v2."""
    return on_shapes(L(atss_resnet10_fpn)())
