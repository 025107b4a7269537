"""Cascade R-CNN R-101-FPN 1x with biased sampling on COCO: detectron2's own, the baseline.

The papers: 43.4 AP on test-dev (theirs, on detectron2).

python train_net.py --config-file configs/detectron2/cascade_rcnn_R_101_FPN_1x_baseline.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .cascade_rcnn_R_50_FPN_1x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train
from .common.resnet101 import with_resnet101

with_resnet101(model, train)
train.output_dir = "output/detectron2/cascade_rcnn_R_101_FPN_1x_baseline"
