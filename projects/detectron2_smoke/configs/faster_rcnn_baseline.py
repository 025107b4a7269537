"""Faster R-CNN with biased sampling on blood cells, from the COCO files."""

from ....configs.detectron2.common.small import faster_rcnn
from .common.bccd import dataloader, engine, lr_multiplier, num_classes, optimizer, smallest, train

model = faster_rcnn(num_classes, smallest)
# from random weights on, a rare gradient many times the usual would set a sampling-free RPN back
train.update(clip_grad=2.0, output_dir="output/detectron2_smoke/faster_rcnn_baseline")
