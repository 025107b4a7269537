"""Faster R-CNN R-50-FPN 1x on COCO, sampling-free in RPN and RoI head, as in v1.

The papers: 38.4 AP on val (theirs, on another code base).

python train_net.py --config-file configs/detectron2/faster_rcnn_R_50_FPN_1x.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .common.sampling_free import sampling_free
from .faster_rcnn_R_50_FPN_1x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

sampling_free(model, dataloader, optimizer)
train.output_dir = "output/detectron2/faster_rcnn_R_50_FPN_1x"
