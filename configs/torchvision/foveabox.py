"""FoveaBox with torchvision's parts.

| variant | training | AP |
|---|---|---|
| `coco_baseline` | COCO, ResNet-50-FPN, Focal Loss: FoveaBox's own form | 36.7 |
| `coco` | the same, sampling-free as in v2 | 36.8, by the scaling of v1 |
| `shapes_baseline`, `shapes` | the generated shapes, a narrow network | |

The figures are v1's on test-dev (theirs, on another code base).
COCO: 90,000 iterations at batch 16, hours on 8 GPUs; not run here. Shapes: about 2 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision import foveabox_resnet50_fpn
from sampling_free.torchvision.models import foveabox_resnet10_fpn

from .common.coco import on_coco
from .common.run import focal_loss
from .common.shapes import on_shapes

_CLIP = 35  # the authors' own


def coco_baseline():
    """Focal Loss on COCO."""
    return focal_loss(coco(), alpha=0.4, gamma=1.5)


def coco():
    """Sampling-free on COCO, as in v2."""
    return on_coco(L(foveabox_resnet50_fpn)(weights_backbone="DEFAULT"), clip_grad=_CLIP)


def shapes_baseline():
    """Focal Loss on the shapes."""
    return focal_loss(shapes(), alpha=0.4, gamma=1.5)


def shapes():
    """Sampling-free on the shapes, as in v2."""
    # nothing in its towers normalises, and its box loss is steep at first
    return on_shapes(L(foveabox_resnet10_fpn)(), lr=0.005, clip_grad=_CLIP)
