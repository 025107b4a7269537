"""RetinaNet on the shapes with Focal Loss, and the optimal bias and guided scaling on top of it."""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import FocalLoss

from .....configs.torchvision.retinanet_shapes import dataloader, engine, lr_multiplier, model, optimizer, train

model.classification_loss = L(FocalLoss)()
train.output_dir = "output/heuristics/torchvision/retinanet_guided_focal"
