"""detectron2's Faster R-CNN on the shapes with IoU-balanced sampling of 32 proposals."""

from detectron2.config import LazyCall as L

from sampling_free.heuristics import IoUBalancedSampling

from .faster_rcnn_biased_shapes import dataloader, engine, lr_multiplier, model, optimizer, train

model.roi_heads.sampling = L(IoUBalancedSampling)(batch_size=32, positive_fraction=0.25)
train.output_dir = "output/heuristics/detectron2/faster_rcnn_iou_balanced_shapes"
