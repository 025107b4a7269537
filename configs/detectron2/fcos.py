"""FCOS with detectron2.

| variant | training | the papers' AP on val (theirs, on another code base) |
|---|---|---|
| `R_50_FPN_1x_baseline` | COCO, Focal Loss: detectron2's own | 37.1 |
| `R_50_FPN_1x` | the same, sampling-free as in v2 | 37.6 |
| `papers_...` | both by the papers' recipe, see `common/papers.py` | |
| `shapes_baseline`, `shapes` | the generated shapes, a small network | |

COCO: `--num-gpus 8`, 90,000 iterations at batch 16; not run here. Shapes: a few minutes on 2 cores.
"""

from sampling_free.detectron2.models import fcos
from sampling_free.detectron2.train.zoo import from_zoo

from .common.papers import papers_recipe
from .common.run import sampling_free
from .common.shapes import NUM_CLASSES, on_shapes


def R_50_FPN_1x_baseline():
    """Focal Loss: detectron2's own."""
    return from_zoo("COCO-Detection/fcos_R_50_FPN_1x.py")


def R_50_FPN_1x():
    """Sampling-free, as in v2."""
    return sampling_free(R_50_FPN_1x_baseline())


def papers_R_50_FPN_1x_baseline():
    """R_50_FPN_1x_baseline, by the papers' recipe."""
    return papers_recipe(R_50_FPN_1x_baseline())


def papers_R_50_FPN_1x():
    """R_50_FPN_1x, by the papers' recipe."""
    return papers_recipe(R_50_FPN_1x())


def shapes_baseline():
    """Focal Loss on the shapes: detectron2's own."""
    return on_shapes(fcos(NUM_CLASSES))


def shapes():
    """Sampling-free on the shapes, as in v2."""
    return sampling_free(shapes_baseline())
