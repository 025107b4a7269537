"""RetinaNet with detectron2: the papers' main detector.

| variant | training | the papers' AP (theirs, on another code base) |
|---|---|---|
| `R_50_FPN_1x_baseline`, `R_50_FPN_1x` | COCO; own Focal Loss; sampling-free (v2) | val: 36.4, 37.0 (v1: 36.8) |
| `R_101_FPN_1x_baseline`, `R_101_FPN_1x` | ResNet-101 | test-dev: 38.8, 39.4 (39.1 in v1) |
| `R_101_FPN_2x_baseline`, `R_101_FPN_2x` | 180,000 iterations | test-dev: 38.9, 39.5 |
| `R_50_FPN_voc_baseline`, `R_50_FPN_voc` | VOC 07+12, 18,000 iterations | mAP on 07 test: 79.3, 80.1 |
| `papers_...` | the COCO rows by the papers' recipe, see `common/papers.py` | |
| `shapes_baseline`, `shapes` | the generated shapes, a small network | |

COCO: `--num-gpus 8`, 90,000 iterations at batch 16 (2x: 180,000); not run here. Shapes: a few minutes on 2 cores.
"""

from sampling_free.detectron2.models import retinanet
from sampling_free.detectron2.train.zoo import from_zoo

from .common.papers import papers_recipe
from .common.run import on_resnet101, on_voc, sampling_free, twice_as_long
from .common.shapes import NUM_CLASSES, on_shapes


def R_50_FPN_1x_baseline():
    """Focal Loss: detectron2's own."""
    return from_zoo("COCO-Detection/retinanet_R_50_FPN_1x.py")


def R_50_FPN_1x():
    """Sampling-free, as in v2."""
    return sampling_free(R_50_FPN_1x_baseline())


def R_101_FPN_1x_baseline():
    """Focal Loss, ResNet-101."""
    return on_resnet101(R_50_FPN_1x_baseline())


def R_101_FPN_1x():
    """Sampling-free, ResNet-101."""
    return sampling_free(R_101_FPN_1x_baseline())


def R_101_FPN_2x_baseline():
    """Focal Loss, ResNet-101, twice as long."""
    return twice_as_long(R_101_FPN_1x_baseline())


def R_101_FPN_2x():
    """Sampling-free, ResNet-101, twice as long."""
    return sampling_free(R_101_FPN_2x_baseline())


def R_50_FPN_voc_baseline():
    """Focal Loss on VOC 07+12."""
    return on_voc(R_50_FPN_1x_baseline())


def R_50_FPN_voc():
    """Sampling-free on VOC 07+12."""
    return sampling_free(R_50_FPN_voc_baseline())


def papers_R_50_FPN_1x_baseline():
    """R_50_FPN_1x_baseline, by the papers' recipe."""
    return papers_recipe(R_50_FPN_1x_baseline())


def papers_R_50_FPN_1x():
    """R_50_FPN_1x, by the papers' recipe."""
    return papers_recipe(R_50_FPN_1x())


def papers_R_101_FPN_1x_baseline():
    """R_101_FPN_1x_baseline, by the papers' recipe."""
    return papers_recipe(R_101_FPN_1x_baseline())


def papers_R_101_FPN_1x():
    """R_101_FPN_1x, by the papers' recipe."""
    return papers_recipe(R_101_FPN_1x())


def papers_R_101_FPN_2x_baseline():
    """R_101_FPN_2x_baseline, by the papers' recipe."""
    return papers_recipe(R_101_FPN_2x_baseline())


def papers_R_101_FPN_2x():
    """R_101_FPN_2x, by the papers' recipe."""
    return papers_recipe(R_101_FPN_2x())


def shapes_baseline():
    """Focal Loss on the shapes: detectron2's own."""
    return on_shapes(retinanet(NUM_CLASSES, smallest=8))


def shapes():
    """Sampling-free on the shapes, as in v2."""
    return sampling_free(shapes_baseline())
