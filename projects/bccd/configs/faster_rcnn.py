"""Faster R-CNN on blood cells, sampling-free, from the COCO files."""

from ....configs.common.sampling_free import sampling_free
from .faster_rcnn_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model, boundary_threshold=-1)
train.output_dir = "output/bccd/faster_rcnn"
