"""Mask R-CNN with biased sampling on the shapes: detectron2's own, the baseline.

python train_net.py --config-file configs/detectron2/mask_rcnn_shapes_baseline.py

A few minutes on 2 cores.
"""

from .common.shapes import dataloader as data
from .common.shapes import engine, lr_multiplier, num_classes, optimizer, train
from .common.small import mask_rcnn

model = mask_rcnn(num_classes)
dataloader = data(masks=True)
train.output_dir = "output/detectron2/mask_rcnn_shapes_baseline"
