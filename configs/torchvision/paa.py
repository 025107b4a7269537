"""PAA with torchvision's parts.

| variant | training | AP |
|---|---|---|
| `coco_baseline` | COCO, ResNet-50-FPN, Focal Loss: PAA's own form | 40.4 |
| `coco` | the same, sampling-free as in v2 | 41.0 |
| `shapes_baseline`, `shapes` | the generated shapes, a narrow network | |

The figures are those of the released code's README (theirs, on another code base).
COCO: 90,000 iterations at batch 16, hours on 8 GPUs; not run here. Shapes: about 2 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision import paa_resnet50_fpn
from sampling_free.torchvision.models import paa_resnet10_fpn

from .common.coco import on_coco
from .common.run import focal_loss
from .common.shapes import on_shapes


def coco_baseline():
    """Focal Loss on COCO."""
    return focal_loss(coco())


def coco():
    """Sampling-free on COCO, as in v2."""
    return on_coco(L(paa_resnet50_fpn)(weights_backbone="DEFAULT"))


def shapes_baseline():
    """Focal Loss on the shapes."""
    return focal_loss(shapes())


def shapes():
    """Sampling-free on the shapes, as in v2."""
    return on_shapes(L(paa_resnet10_fpn)())
