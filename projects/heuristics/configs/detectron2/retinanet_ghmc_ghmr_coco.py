"""RetinaNet R-50-FPN 1x on COCO with GHM-C and GHM-R, the latter ten-fold as in the public code.

The papers: 36.9 AP on val (theirs, on another code base).
"""

from detectron2.config import LazyCall as L

from sampling_free.heuristics import GHMR

from .retinanet_ghmc_coco import dataloader, engine, lr_multiplier, model, optimizer, train

model.box_loss = L(GHMR)()
model.normalizer.localization_weight = 10.0
train.output_dir = "output/heuristics/detectron2/retinanet_ghmc_ghmr_coco"
