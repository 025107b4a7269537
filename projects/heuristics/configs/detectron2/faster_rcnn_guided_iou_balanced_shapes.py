"""detectron2's Faster R-CNN on the shapes with IoU-balanced sampling, and guided scaling on top."""

from detectron2.config import LazyCall as L

from sampling_free.mechanism import GuidedScaling

from .faster_rcnn_iou_balanced_shapes import dataloader, engine, lr_multiplier, model, optimizer, train

model.roi_heads.scaling = L(GuidedScaling)(factor=2.0)
train.output_dir = "output/heuristics/detectron2/faster_rcnn_guided_iou_balanced_shapes"
