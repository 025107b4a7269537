"""The same as faster_rcnn_baseline.py, from the VOC layout."""

from .bccd import data, voc
from .faster_rcnn_baseline import engine, lr_multiplier, model, optimizer, train

dataloader = data(voc)
train.output_dir = "output/bccd/faster_rcnn_baseline_voc"
