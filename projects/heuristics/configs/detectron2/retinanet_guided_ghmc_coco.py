"""RetinaNet R-50-FPN 1x on COCO with GHM-C, and the optimal bias and guided scaling on top of it."""

from detectron2.config import LazyCall as L

from sampling_free.heuristics import GHMC

from .....configs.detectron2.retinanet_R_50_FPN_1x import dataloader, engine, lr_multiplier, model, optimizer, train

model.classification_loss = L(GHMC)()
train.output_dir = "output/heuristics/detectron2/retinanet_guided_ghmc_coco"
