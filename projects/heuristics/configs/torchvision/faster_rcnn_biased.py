"""Faster R-CNN on the shapes with biased sampling of 32 proposals of about 100, a quarter foreground at most.

The RPN stays torchvision's. Its own RoI head draws 512, which on these images is every proposal.
"""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import BiasedSampling
from sampling_free.mechanism import ConstantScaling, PerExample

from .....configs.common.sampling_free import sampling_free
from .....configs.torchvision.faster_rcnn_shapes_baseline import (
    dataloader,
    engine,
    lr_multiplier,
    model,
    optimizer,
    train,
)

model = sampling_free(
    model,
    heads=["roi"],
    sampling=L(BiasedSampling)(batch_size=32, positive_fraction=0.25),
    scaling=L(ConstantScaling)(w=1.0),
    normalizer=L(PerExample)(),
)
train.prior = None
train.output_dir = "output/heuristics/torchvision/faster_rcnn_biased"
