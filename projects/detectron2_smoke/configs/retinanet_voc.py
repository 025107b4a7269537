"""The same as retinanet.py, from the VOC layout."""

from .common.bccd import data, voc
from .retinanet import engine, lr_multiplier, model, optimizer, train

dataloader = data(voc)
train.output_dir = "output/detectron2_smoke/retinanet_voc"
