"""Cascade R-CNN on the shapes, sampling-free in RPN and RoI head, as in v1.

python train_net.py --config-file configs/detectron2/cascade_rcnn_shapes.py

A few minutes on 2 cores.
"""

from .cascade_rcnn_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train
from .common.sampling_free import sampling_free

# on small images most large anchors straddle the edge; ignoring them would ignore most large objects
sampling_free(model, dataloader, optimizer, boundary_threshold=-1)
train.output_dir = "output/detectron2/cascade_rcnn_shapes"
