"""detectron2's Faster R-CNN on the shapes with biased sampling of 32 proposals of about 100.

The RPN stays detectron2's. Its own RoI head draws 512, which on these images is every proposal.
"""

from detectron2.config import LazyCall as L

from sampling_free.detectron2 import make_sampling_free
from sampling_free.heuristics import BiasedSampling
from sampling_free.mechanism import ConstantScaling, PerExample

from .....configs.detectron2.faster_rcnn_shapes_baseline import (
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
    sampling=L(BiasedSampling)(batch_size=32, positive_fraction=0.25),
    scaling=L(ConstantScaling)(w=1.0),
    normalizer=L(PerExample)(),
)
train.prior = None
train.output_dir = "output/heuristics/detectron2/faster_rcnn_biased_shapes"
