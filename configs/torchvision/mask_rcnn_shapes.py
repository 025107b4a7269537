"""Mask R-CNN on the shapes, sampling-free in RPN and RoI head, as in v1.

python train_net.py --config-file configs/torchvision/mask_rcnn_shapes.py

About 4 minutes on 2 cores.
"""

from ..common.sampling_free import sampling_free
from .mask_rcnn_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

# on small images most large anchors straddle the edge; ignoring them would ignore most large objects
model = sampling_free(model, boundary_threshold=-1)
train.output_dir = "output/mask_rcnn_shapes"
