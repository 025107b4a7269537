"""Faster R-CNN R-50-FPN 1x with biased sampling on COCO: detectron2's own, the baseline.

The papers: 36.8 AP on val (theirs, on another code base).

python train_net.py --config-file configs/detectron2/faster_rcnn_R_50_FPN_1x_baseline.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .common.boxes import without_masks
from .mask_rcnn_R_50_FPN_1x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

without_masks(model, dataloader)
train.output_dir = "output/detectron2/faster_rcnn_R_50_FPN_1x_baseline"
