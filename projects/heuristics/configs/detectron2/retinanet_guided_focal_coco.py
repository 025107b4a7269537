"""RetinaNet R-50-FPN 1x on COCO with Focal Loss, and the optimal bias and guided scaling on top of it.

The papers: 36.7 AP (v1), 36.5 (v2) on val (theirs, on another code base).
"""

from detectron2.config import LazyCall as L

from sampling_free.heuristics import FocalLoss

from .....configs.detectron2.retinanet_R_50_FPN_1x import dataloader, engine, lr_multiplier, model, optimizer, train

model.classification_loss = L(FocalLoss)()
train.output_dir = "output/heuristics/detectron2/retinanet_guided_focal_coco"
