"""RetinaNet with torchvision: the papers' main detector.

| variant | training | the papers' AP (theirs, on another code base) |
|---|---|---|
| `coco_baseline` | COCO, ResNet-50-FPN, Focal Loss: torchvision's own | 36.4 |
| `coco` | the same, sampling-free as in v2 | 37.0 (36.8 in v1) |
| `voc_baseline`, `voc` | VOC 07+12 | mAP at IoU 0.5: 79.3, 80.1; this engine prints COCO's AP50, a near relative |
| `shapes_baseline` | the generated shapes, a narrow network, Focal Loss: torchvision's own | |
| `shapes` | the same, sampling-free as in v2 | |
| `shapes_focal` | Focal Loss divided by the foreground of the batch, as in its paper | |
| `shapes_cross_entropy` | plain cross-entropy with Focal Loss's initialisation: what the papers start from | |
| `shapes_bias_only` | the optimal bias without scaling | diverged |
| `shapes_guided_only` | guided scaling with Focal Loss's initialisation | diverged |
| `shapes_v1` | guided scaling, nothing learned (v1) | |
| `shapes_released` | the authors' released code | |

COCO: 90,000 iterations at batch 16, hours on 8 GPUs; VOC: 18,000; not run here. Shapes: about 2 minutes on 2 cores.
"""

from torchvision.models.detection import retinanet_resnet50_fpn

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling, FrozenScaling, GuidedScaling
from sampling_free.torchvision.models import retinanet_resnet10_fpn

from .common.coco import on_coco
from .common.run import sampling_free
from .common.shapes import on_shapes
from .common.voc import on_voc


def _resnet50():
    return L(retinanet_resnet50_fpn)(weights=None, weights_backbone="DEFAULT")


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
    # nothing in these heads normalises, so a rare gradient of Focal Loss, many times the usual, would end its run
    return on_shapes(L(retinanet_resnet10_fpn)(), lr=0.04, max_iter=1200, clip_grad=5.0)


def shapes():
    """Sampling-free on the shapes, as in v2."""
    return sampling_free(shapes_baseline())


def shapes_focal():
    """Focal Loss, divided by the foreground of the batch as in its paper.

    torchvision divides by that of each image, at least 1: an image without objects then weighs hundreds of times more
    than its neighbours. With this row and the others alike in all but the loss, the comparison is of losses alone.
    """
    return _biased_as_focal_loss(
        sampling_free(shapes_baseline(), classification_loss=L(FocalLoss)(), scaling=L(ConstantScaling)(w=1.0))
    )


def shapes_cross_entropy():
    """Plain cross-entropy on all anchors with Focal Loss's initialisation: what the papers start from."""
    return _biased_as_focal_loss(sampling_free(shapes_baseline(), scaling=L(ConstantScaling)(w=1.0)))


def shapes_bias_only():
    """The optimal bias without any scaling: in the papers this diverges."""
    return sampling_free(shapes_baseline(), scaling=L(ConstantScaling)(w=1.0))


def shapes_guided_only():
    """Guided scaling with Focal Loss's initialisation: in the papers this diverges."""
    return _biased_as_focal_loss(shapes_v1())


def shapes_v1():
    """Guided scaling, nothing learned (v1)."""
    return sampling_free(shapes_baseline(), scaling=L(GuidedScaling)())


def shapes_released():
    """What the authors' released code does: a ratio frozen after 100 iterations, and uncertainty weights."""
    return sampling_free(shapes_baseline(), scaling=L(FrozenScaling)())


def _biased_as_focal_loss(cfg):
    cfg.train.prior = 0.01
    return cfg
