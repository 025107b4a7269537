"""Faster R-CNN R-50-FPN 1x on COCO with biased sampling, and guided scaling on top of it.

The papers: between 36.4 and 36.8 AP (v2 Table III c, its columns are uncertain) on val (theirs, on another code base).
"""

from detectron2.config import LazyCall as L

from sampling_free.mechanism import GuidedScaling

from .faster_rcnn_biased_coco import dataloader, engine, lr_multiplier, model, optimizer, train

model.roi_heads.scaling = L(GuidedScaling)(factor=2.0)
train.output_dir = "output/heuristics/detectron2/faster_rcnn_guided_biased_coco"
