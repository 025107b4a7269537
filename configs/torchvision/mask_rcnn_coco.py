"""Mask R-CNN on COCO, sampling-free in RPN and RoI head, as in v1.

For comparison, the papers: 39.0 box and 34.9 mask AP (theirs, on another code base).

python train_net.py --config-file configs/torchvision/mask_rcnn_coco.py --num-gpus 8

90,000 iterations at batch 16, hours on 8 GPUs; not run here.
"""

from ..common.sampling_free import sampling_free
from .mask_rcnn_coco_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model)
train.output_dir = "output/mask_rcnn_coco"
