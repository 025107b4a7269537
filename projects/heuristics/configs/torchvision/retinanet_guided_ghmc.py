"""RetinaNet on the shapes with GHM-C, and the optimal bias and guided scaling on top of it."""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import GHMC

from .....configs.torchvision.retinanet_shapes import dataloader, engine, lr_multiplier, model, optimizer, train

model.classification_loss = L(GHMC)()
optimizer.lr = 0.01  # as GHM-C alone
train.output_dir = "output/heuristics/torchvision/retinanet_guided_ghmc"
