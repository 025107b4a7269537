"""Faster R-CNN on blood cells, sampling-free, from the COCO files."""

from sampling_free.config import LazyCall as L
from sampling_free.mechanism import PerForeground

from ....configs.common.sampling_free import sampling_free
from .faster_rcnn_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

# the RPN's box loss guides its classification; by the released code's 1/8 that would take longer than 400 iterations
normalizer = L("builtins.dict")(
    rpn=L(PerForeground)(localization_weight=1.0), roi=L(PerForeground)(localization_weight=1 / 4)
)
model = sampling_free(model, boundary_threshold=-1, normalizer=normalizer)
train.output_dir = "output/bccd/faster_rcnn"
