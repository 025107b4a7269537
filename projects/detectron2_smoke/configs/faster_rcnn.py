"""Faster R-CNN on blood cells, sampling-free, from the COCO files."""

from ....configs.detectron2.common.sampling_free import sampling_free
from .faster_rcnn_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

sampling_free(model, dataloader, optimizer, boundary_threshold=-1)
train.output_dir = "output/detectron2_smoke/faster_rcnn"
