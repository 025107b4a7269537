"""detectron2's RetinaNet on the shapes, sampling-free with GHM-R as the loss that guides."""

from detectron2.config import LazyCall as L

from sampling_free.heuristics import GHMR

from .....configs.detectron2.retinanet_shapes import dataloader, engine, lr_multiplier, model, optimizer, train

model.box_loss = L(GHMR)(mu=0.2)  # wider than the paper's 0.02: see ../torchvision/retinanet_ghmr.py
model.normalizer.localization_weight = 10.0
train.output_dir = "output/heuristics/detectron2/retinanet_ghmr_shapes"
