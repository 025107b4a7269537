"""RetinaNet R-50-FPN 1x on COCO, sampling-free with GHM-R as the loss that guides.

The papers: 37.1 AP (v1) on val (theirs, on another code base).
"""

from detectron2.config import LazyCall as L

from sampling_free.heuristics import GHMR

from .....configs.detectron2.retinanet_R_50_FPN_1x import dataloader, engine, lr_multiplier, model, optimizer, train

model.box_loss = L(GHMR)()
model.normalizer.localization_weight = 10.0
train.output_dir = "output/heuristics/detectron2/retinanet_ghmr_coco"
