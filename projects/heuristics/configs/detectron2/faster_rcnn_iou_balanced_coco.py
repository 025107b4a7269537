"""Faster R-CNN R-50-FPN 1x on COCO with IoU-balanced sampling in the RoI head.

The papers: 36.8 AP (v2 Table VII) on val (theirs, on another code base).
"""

from detectron2.config import LazyCall as L

from sampling_free.heuristics import IoUBalancedSampling

from .faster_rcnn_biased_coco import dataloader, engine, lr_multiplier, model, optimizer, train

model.roi_heads.sampling = L(IoUBalancedSampling)(batch_size=512, positive_fraction=0.25)
train.output_dir = "output/heuristics/detectron2/faster_rcnn_iou_balanced_coco"
