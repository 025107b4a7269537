"""Faster R-CNN on the shapes with importance-based sample reweighting of 32 proposals."""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import ISR

from .faster_rcnn_biased import dataloader, engine, lr_multiplier, model, optimizer, train

model.sampling = L(ISR)(batch_size=32, positive_fraction=0.25)
train.output_dir = "output/heuristics/torchvision/faster_rcnn_isr"
