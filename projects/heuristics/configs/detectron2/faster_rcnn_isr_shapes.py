"""detectron2's Faster R-CNN on the shapes with importance-based sample reweighting of 32 proposals."""

from detectron2.config import LazyCall as L

from sampling_free.heuristics import ISR

from .faster_rcnn_biased_shapes import dataloader, engine, lr_multiplier, model, optimizer, train

model.roi_heads.sampling = L(ISR)(batch_size=32, positive_fraction=0.25)
train.output_dir = "output/heuristics/detectron2/faster_rcnn_isr_shapes"
