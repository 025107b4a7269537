"""Mask R-CNN with biased sampling on the shapes: torchvision's own, the baseline.

python train_net.py --config-file configs/torchvision/mask_rcnn_shapes_baseline.py

About 4 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import maskrcnn_resnet10_fpn

from ..common.masks import with_masks
from ..common.shapes import dataloader, engine, lr_multiplier, num_classes, optimizer, train, weights_backbone

model = L(maskrcnn_resnet10_fpn)(num_classes=num_classes, weights_backbone=weights_backbone)
dataloader = with_masks(dataloader)
optimizer.lr = 0.02
train.output_dir = "output/mask_rcnn_shapes_baseline"
