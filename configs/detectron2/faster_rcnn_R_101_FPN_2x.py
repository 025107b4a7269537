"""Faster R-CNN R-101-FPN 2x on COCO, sampling-free in RPN and RoI head, as in v1.

The papers: 41.0 AP on test-dev (theirs, on another code base).

python train_net.py --config-file configs/detectron2/faster_rcnn_R_101_FPN_2x.py --num-gpus 8

180,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .common.sampling_free import sampling_free
from .faster_rcnn_R_101_FPN_2x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

sampling_free(model, dataloader, optimizer)
train.output_dir = "output/detectron2/faster_rcnn_R_101_FPN_2x"
