"""Cascade R-CNN R-50-FPN 1x on COCO, sampling-free in RPN and RoI heads, whose stages count as one.

The papers: 42.8 AP on test-dev (theirs, on detectron2).

python train_net.py --config-file configs/detectron2/cascade_rcnn_R_50_FPN_1x.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .cascade_rcnn_R_50_FPN_1x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train
from .common.sampling_free import sampling_free

sampling_free(model, dataloader, optimizer)
train.output_dir = "output/detectron2/cascade_rcnn_R_50_FPN_1x"
