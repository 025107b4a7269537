"""FCOS with torchvision.

| variant | training | the papers' AP (theirs, on another code base) |
|---|---|---|
| `coco_baseline` | COCO, ResNet-50-FPN, Focal Loss: torchvision's own | 37.1 |
| `coco` | the same, sampling-free as in v2 | 37.6 (Table III b) |
| `voc_baseline`, `voc` | VOC 07+12 | |
| `shapes_baseline`, `shapes` | the generated shapes, a narrow network | |

COCO: 90,000 iterations at batch 16, hours on 8 GPUs; VOC: 18,000; not run here. Shapes: about 2 minutes on 2 cores.
"""

from torchvision.models.detection import fcos_resnet50_fpn

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import fcos_resnet10_fpn

from .common.coco import on_coco
from .common.run import sampling_free
from .common.shapes import on_shapes
from .common.voc import on_voc


def _resnet50():
    return L(fcos_resnet50_fpn)(weights=None, weights_backbone="DEFAULT")


def coco_baseline():
    """Focal Loss on COCO: torchvision's own."""
    return on_coco(_resnet50())


def coco():
    """Sampling-free on COCO, as in v2."""
    return sampling_free(coco_baseline())


def voc_baseline():
    """Focal Loss on VOC 07+12: torchvision's own."""
    return on_voc(_resnet50())


def voc():
    """Sampling-free on VOC 07+12, as in v2."""
    return sampling_free(voc_baseline())


def shapes_baseline():
    """Focal Loss on the shapes: torchvision's own."""
    return on_shapes(L(fcos_resnet10_fpn)())


def shapes():
    """Sampling-free on the shapes, as in v2."""
    return sampling_free(shapes_baseline())
