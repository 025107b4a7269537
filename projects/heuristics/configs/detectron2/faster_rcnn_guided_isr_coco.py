"""Faster R-CNN R-50-FPN 1x on COCO with importance-based sample reweighting, and guided scaling on top of it."""

from detectron2.config import LazyCall as L

from sampling_free.mechanism import GuidedScaling

from .faster_rcnn_isr_coco import dataloader, engine, lr_multiplier, model, optimizer, train

model.roi_heads.scaling = L(GuidedScaling)(factor=2.0)
train.output_dir = "output/heuristics/detectron2/faster_rcnn_guided_isr_coco"
