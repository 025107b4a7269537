"""Cascade R-CNN with detectron2; its stages count as one head.

| variant | training | the papers' AP on test-dev (theirs, on detectron2) |
|---|---|---|
| `R_50_FPN_1x_baseline`, `R_50_FPN_1x` | COCO; detectron2's own biased sampling; sampling-free (v1) | 41.8, 42.8 |
| `R_101_FPN_1x_baseline`, `R_101_FPN_1x` | ResNet-101 | 43.4, 44.4 |
| `shapes_baseline`, `shapes` | the generated shapes, a small network | |

COCO: `--num-gpus 8`, 90,000 iterations at batch 16; not run here. Shapes: a few minutes on 2 cores.
"""

from sampling_free.detectron2.models import cascade_rcnn, host_config
from sampling_free.detectron2.train.zoo import from_zoo

from .common.run import on_resnet101, sampling_free, without_masks
from .common.shapes import NUM_CLASSES, on_shapes


def R_50_FPN_1x_baseline():
    """Biased sampling: detectron2's own."""
    cfg = from_zoo("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.py")
    cfg.model = host_config("common/models/cascade_rcnn.py", "model")
    cfg.model.backbone.bottom_up.freeze_at = 2
    cfg.model.proposal_generator.post_nms_topk = [2000, 1000]  # as in detectron2's YAML of the same name
    return without_masks(cfg)


def R_50_FPN_1x():
    """Sampling-free, as in v1."""
    return sampling_free(R_50_FPN_1x_baseline())


def R_101_FPN_1x_baseline():
    """Biased sampling, ResNet-101."""
    return on_resnet101(R_50_FPN_1x_baseline())


def R_101_FPN_1x():
    """Sampling-free, ResNet-101."""
    return sampling_free(R_101_FPN_1x_baseline())


def shapes_baseline():
    """Biased sampling on the shapes: detectron2's own."""
    return on_shapes(cascade_rcnn(NUM_CLASSES, smallest=8))


def shapes():
    """Sampling-free on the shapes, as in v1."""
    # on small images most large anchors straddle the edge; ignoring them would ignore most large objects
    return sampling_free(shapes_baseline(), boundary_threshold=-1)
