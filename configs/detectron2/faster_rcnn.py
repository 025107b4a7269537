"""Faster R-CNN with detectron2.

| variant | training | the papers' AP (theirs, on another code base) |
|---|---|---|
| `R_50_FPN_1x_baseline`, `R_50_FPN_1x` | COCO; detectron2's own biased sampling; sampling-free (v1) | val: 36.8, 38.4 |
| `R_101_FPN_1x_baseline`, `R_101_FPN_1x` | ResNet-101 | test-dev: 39.3, 40.7 |
| `R_101_FPN_2x_baseline`, `R_101_FPN_2x` | 180,000 iterations | test-dev: 39.6, 41.0 |
| `R_50_FPN_voc_baseline`, `R_50_FPN_voc` | VOC 07+12, 18,000 iterations | mAP on 07 test: 80.9, 81.5 |
| `rpn_only` | R-50, sampling-free RPN, biased sampling in the RoI head | val: 37.5 (v2 Table III c) |
| `roi_only` | R-50, sampling-free RoI head, biased sampling in the RPN | val: 38.1 |
| `rpn_biased` | R-50, the RPN guided and its bias optimal, biased sampling in both heads | val: 36.5 |
| `roi_biased` | R-50, the RoI head guided, biased sampling in both heads | val: 36.4 or 36.8: columns are uncertain |
| `both_biased` | R-50, both guided, the RPN's bias optimal, biased sampling in both heads | val: 36.8 or 36.4 |
| `papers_...` | the COCO rows by the papers' recipe, see `common/papers.py` | |
| `shapes_baseline`, `shapes` | the generated shapes, a small network | |

COCO: `--num-gpus 8`, 90,000 iterations at batch 16 (2x: 180,000); not run here. Shapes: a few minutes on 2 cores.
"""

from sampling_free.detectron2.models import faster_rcnn
from sampling_free.detectron2.train.zoo import from_zoo

from .common.papers import papers_recipe
from .common.run import biased_sampling, on_resnet101, on_voc, sampling_free, twice_as_long, without_masks
from .common.shapes import NUM_CLASSES, on_shapes


def R_50_FPN_1x_baseline():
    """Biased sampling: detectron2's own."""
    return without_masks(from_zoo("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.py"))


def R_50_FPN_1x():
    """Sampling-free in RPN and RoI head, as in v1."""
    return sampling_free(R_50_FPN_1x_baseline())


def R_101_FPN_1x_baseline():
    """Biased sampling, ResNet-101."""
    return on_resnet101(R_50_FPN_1x_baseline())


def R_101_FPN_1x():
    """Sampling-free, ResNet-101."""
    return sampling_free(R_101_FPN_1x_baseline())


def R_101_FPN_2x_baseline():
    """Biased sampling, ResNet-101, twice as long."""
    return twice_as_long(R_101_FPN_1x_baseline())


def R_101_FPN_2x():
    """Sampling-free, ResNet-101, twice as long."""
    return sampling_free(R_101_FPN_2x_baseline())


def R_50_FPN_voc_baseline():
    """Biased sampling on VOC 07+12."""
    return on_voc(R_50_FPN_1x_baseline())


def R_50_FPN_voc():
    """Sampling-free on VOC 07+12."""
    return sampling_free(R_50_FPN_voc_baseline())


def rpn_only():
    """Sampling-free in the RPN alone, biased sampling in the RoI head."""
    return sampling_free(R_50_FPN_1x_baseline(), heads=["rpn"])


def roi_only():
    """Sampling-free in the RoI head alone, biased sampling in the RPN."""
    return _own_bias(sampling_free(R_50_FPN_1x_baseline(), heads=["roi"]))


def rpn_biased():
    """The RPN guided and its bias optimal, biased sampling in both heads."""
    return sampling_free(R_50_FPN_1x_baseline(), heads=["rpn"], **biased_sampling())


def roi_biased():
    """The RoI head guided, biased sampling in both heads."""
    return _own_bias(sampling_free(R_50_FPN_1x_baseline(), heads=["roi"], **biased_sampling()))


def both_biased():
    """Both heads guided and the RPN's bias optimal, biased sampling in both heads."""
    return sampling_free(R_50_FPN_1x_baseline(), **biased_sampling())


def _own_bias(cfg):
    """The RPN keeps its own."""
    cfg.train.prior = None
    return cfg


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


def papers_rpn_only():
    """rpn_only, by the papers' recipe."""
    return papers_recipe(rpn_only())


def papers_roi_only():
    """roi_only, by the papers' recipe."""
    return papers_recipe(roi_only())


def papers_rpn_biased():
    """rpn_biased, by the papers' recipe."""
    return papers_recipe(rpn_biased())


def papers_roi_biased():
    """roi_biased, by the papers' recipe."""
    return papers_recipe(roi_biased())


def papers_both_biased():
    """both_biased, by the papers' recipe."""
    return papers_recipe(both_biased())


def shapes_baseline():
    """Biased sampling on the shapes: detectron2's own."""
    return on_shapes(faster_rcnn(NUM_CLASSES, smallest=8))


def shapes():
    """Sampling-free on the shapes, as in v1."""
    # on small images most large anchors straddle the edge; ignoring them would ignore most large objects
    return sampling_free(shapes_baseline(), boundary_threshold=-1)
