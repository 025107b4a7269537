"""FoveaBox with detectron2's parts.

| variant | training | AP (theirs, on another code base) |
|---|---|---|
| `R_50_FPN_1x_baseline`, `R_50_FPN_1x` | COCO; Focal Loss; sampling-free (v2) | test-dev: 36.7, 36.8 |
| `R_101_FPN_1x_baseline`, `R_101_FPN_1x` | ResNet-101 | test-dev: 38.4, 38.6 |
| `shapes_baseline`, `shapes` | the generated shapes, a small network | |

The figures are v1's, by its own scaling. COCO: `--num-gpus 8`, 90,000 iterations at batch 16; not run here. Shapes: a
few minutes on 2 cores.
"""

from sampling_free.detectron2.models import foveabox, own_form

from .common.dense import on_coco, sampling_free
from .common.run import on_resnet101
from .common.shapes import NUM_CLASSES, on_shapes


def R_50_FPN_1x_baseline():
    """Focal Loss: FoveaBox's own form."""
    cfg = on_coco(foveabox(80, depth=50, norm=None, **own_form("foveabox")))
    cfg.model.backbone.bottom_up.freeze_at = 2
    cfg.train.clip_grad = 35  # the authors' own
    return cfg


def R_50_FPN_1x():
    """Sampling-free, as in v2."""
    return sampling_free(R_50_FPN_1x_baseline())


def R_101_FPN_1x_baseline():
    """Focal Loss, ResNet-101."""
    return on_resnet101(R_50_FPN_1x_baseline())


def R_101_FPN_1x():
    """Sampling-free, ResNet-101."""
    return sampling_free(R_101_FPN_1x_baseline())


def shapes_baseline():
    """Focal Loss on the shapes."""
    return on_shapes(foveabox(NUM_CLASSES, **own_form("foveabox")), prior=None)


def shapes():
    """Sampling-free on the shapes, as in v2."""
    return sampling_free(shapes_baseline())
