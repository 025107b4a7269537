"""Faster R-CNN R-50-FPN 1x on COCO with biased sampling through this project's classes.

The base of the other rows; the losses are detectron2's own. The papers: 36.4 AP (v2 Table VII) on val (theirs, on
another code base).
"""

from detectron2.config import LazyCall as L

from sampling_free.detectron2 import make_sampling_free
from sampling_free.heuristics import BiasedSampling
from sampling_free.mechanism import ConstantScaling, PerExample

from .....configs.detectron2.faster_rcnn_R_50_FPN_1x_baseline import (
    dataloader,
    engine,
    lr_multiplier,
    model,
    optimizer,
    train,
)

make_sampling_free(
    model,
    heads=["roi"],
    sampling=L(BiasedSampling)(batch_size=512, positive_fraction=0.25),
    scaling=L(ConstantScaling)(w=1.0),
    normalizer=L(PerExample)(),
)
train.prior = None
train.output_dir = "output/heuristics/detectron2/faster_rcnn_biased_coco"
