"""Mask R-CNN with detectron2.

| variant | training | the papers' box and mask AP on val (theirs, on another code base) |
|---|---|---|
| `R_50_FPN_1x_baseline` | COCO, biased sampling: detectron2's own | 37.8, 34.2 |
| `R_50_FPN_1x` | the same, sampling-free in RPN and RoI head, as in v1 | 39.0, 34.9 |
| `papers_...` | both by the papers' recipe, see `common/papers.py` | |
| `shapes_baseline`, `shapes` | the generated shapes, a small network | |

COCO: `--num-gpus 8`, 90,000 iterations at batch 16; not run here. Shapes: a few minutes on 2 cores.
"""

from sampling_free.detectron2.models import mask_rcnn
from sampling_free.detectron2.train.zoo import from_zoo

from .common.papers import papers_recipe
from .common.run import sampling_free
from .common.shapes import NUM_CLASSES, on_shapes


def R_50_FPN_1x_baseline():
    """Biased sampling: detectron2's own."""
    return from_zoo("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.py")


def R_50_FPN_1x():
    """Sampling-free in RPN and RoI head, as in v1."""
    return sampling_free(R_50_FPN_1x_baseline())


def papers_R_50_FPN_1x_baseline():
    """R_50_FPN_1x_baseline, by the papers' recipe."""
    return papers_recipe(R_50_FPN_1x_baseline())


def papers_R_50_FPN_1x():
    """R_50_FPN_1x, by the papers' recipe."""
    return papers_recipe(R_50_FPN_1x())


def shapes_baseline():
    """Biased sampling on the shapes: detectron2's own."""
    return on_shapes(mask_rcnn(NUM_CLASSES, smallest=8), masks=True)


def shapes():
    """Sampling-free on the shapes, as in v1."""
    # on small images most large anchors straddle the edge; ignoring them would ignore most large objects
    return sampling_free(shapes_baseline(), boundary_threshold=-1)
