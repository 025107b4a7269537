"""Faster R-CNN with biased sampling on blood cells, from the COCO files."""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import fasterrcnn_resnet10_fpn

from .bccd import dataloader, engine, lr_multiplier, num_classes, optimizer, size, train

model = L(fasterrcnn_resnet10_fpn)(num_classes=num_classes, size=size, smallest=16, weights_backbone=None)
train.output_dir = "output/bccd/faster_rcnn_baseline"
