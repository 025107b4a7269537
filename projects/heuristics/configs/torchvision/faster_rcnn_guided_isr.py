"""Faster R-CNN on the shapes with importance-based sample reweighting, and guided scaling on top of it."""

from sampling_free.config import LazyCall as L
from sampling_free.mechanism import GuidedScaling

from .faster_rcnn_isr import dataloader, engine, lr_multiplier, model, optimizer, train

model.scaling = L(GuidedScaling)(factor=2.0)
train.output_dir = "output/heuristics/torchvision/faster_rcnn_guided_isr"
