"""detectron2's RetinaNet on the shapes with GHM-C and GHM-R, the latter as in retinanet_ghmr_shapes.py, ten-fold."""

from detectron2.config import LazyCall as L

from sampling_free.heuristics import GHMR

from .retinanet_ghmc_shapes import dataloader, engine, lr_multiplier, model, optimizer, train

model.box_loss = L(GHMR)(mu=0.2)
model.normalizer.localization_weight = 10.0
train.output_dir = "output/heuristics/detectron2/retinanet_ghmc_ghmr_shapes"
