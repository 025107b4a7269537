"""ATSS with detectron2's parts.

| variant | training | AP (theirs, on another code base) |
|---|---|---|
| `R_50_FPN_1x_baseline`, `R_50_FPN_1x` | COCO; Focal Loss; sampling-free (v2) | val: 39.3 (its README), none |
| `X_101_64x4d_DCN_FPN_2x_baseline`, `X_101_64x4d_DCN_FPN_2x` | deformable ResNeXt | test-dev: 47.7, 48.2 |
| `shapes_baseline`, `shapes` | the generated shapes, a small network | |

The figures on test-dev are v2's Table VIII. COCO: `--num-gpus 8`, 90,000 iterations at batch 16 (2x: 180,000); not
run here. Shapes: a few minutes on 2 cores.
"""

from sampling_free.detectron2.models import atss, own_form

from .common.dense import on_coco, on_resnext101_dcn, sampling_free
from .common.run import twice_as_long
from .common.shapes import NUM_CLASSES, on_shapes


def R_50_FPN_1x_baseline():
    """Focal Loss: ATSS's own form."""
    cfg = on_coco(atss(80, depth=50, **own_form("atss")))
    cfg.model.backbone.bottom_up.freeze_at = 2
    return cfg


def R_50_FPN_1x():
    """Sampling-free, as in v2."""
    return sampling_free(R_50_FPN_1x_baseline())


def X_101_64x4d_DCN_FPN_2x_baseline():
    """Focal Loss, ResNeXt-101-64x4d with DCNv2, short side 640 to 800, twice as long."""
    return twice_as_long(on_resnext101_dcn(R_50_FPN_1x_baseline()))


def X_101_64x4d_DCN_FPN_2x():
    """Sampling-free, ResNeXt-101-64x4d with DCNv2, short side 640 to 800, twice as long."""
    return sampling_free(X_101_64x4d_DCN_FPN_2x_baseline())


def shapes_baseline():
    """Focal Loss on the shapes."""
    return on_shapes(atss(NUM_CLASSES, anchor_scale=3.0, **own_form("atss")), prior=None)


def shapes():
    """Sampling-free on the shapes, as in v2."""
    return sampling_free(shapes_baseline())
