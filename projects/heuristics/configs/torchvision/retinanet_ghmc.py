"""RetinaNet on the shapes with GHM-C in place of Focal Loss."""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import GHMC
from sampling_free.mechanism import ConstantScaling

from .....configs.common.sampling_free import sampling_free
from .....configs.torchvision.retinanet_shapes_baseline import (
    dataloader,
    engine,
    lr_multiplier,
    model,
    optimizer,
    train,
)

model = sampling_free(model, classification_loss=L(GHMC)(), scaling=L(ConstantScaling)(w=1.0))
train.prior = None  # Focal Loss's own
optimizer.lr = 0.01  # a bin of few examples weighs as much as one of thousands: a noisy gradient
train.output_dir = "output/heuristics/torchvision/retinanet_ghmc"
