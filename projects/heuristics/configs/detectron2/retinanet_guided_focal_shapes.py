"""detectron2's RetinaNet on the shapes with Focal Loss, the optimal bias and guided scaling on top of it."""

from detectron2.config import LazyCall as L

from sampling_free.heuristics import FocalLoss

from .....configs.detectron2.retinanet_shapes import dataloader, engine, lr_multiplier, model, optimizer, train

model.classification_loss = L(FocalLoss)()
train.output_dir = "output/heuristics/detectron2/retinanet_guided_focal_shapes"
