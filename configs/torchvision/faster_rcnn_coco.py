"""Faster R-CNN on COCO, sampling-free in RPN and RoI head, as in v1.

For comparison, the papers: 38.4 AP (theirs, on another code base).

python train_net.py --config-file configs/torchvision/faster_rcnn_coco.py --num-gpus 8

90,000 iterations at batch 16, hours on 8 GPUs; not run here.
"""

from ..common.sampling_free import sampling_free
from .faster_rcnn_coco_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model)
train.output_dir = "output/faster_rcnn_coco"
