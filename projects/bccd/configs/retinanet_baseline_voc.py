"""The same as retinanet_baseline.py, from the VOC layout."""

from .bccd import data, voc
from .retinanet_baseline import engine, lr_multiplier, model, optimizer, train

dataloader = data(voc)
train.output_dir = "output/bccd/retinanet_baseline_voc"
