"""The same as faster_rcnn.py, from the VOC layout."""

from .bccd import data, voc
from .faster_rcnn import engine, lr_multiplier, model, optimizer, train

dataloader = data(voc)
train.output_dir = "output/bccd/faster_rcnn_voc"
