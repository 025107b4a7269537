"""ATSS on the shapes, sampling-free as in v2.

python train_net.py --config-file configs/torchvision/atss_shapes.py

About 2 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import atss_resnet10_fpn

from ..common.shapes import dataloader, engine, lr_multiplier, num_classes, optimizer, train, weights_backbone

model = L(atss_resnet10_fpn)(num_classes=num_classes, weights_backbone=weights_backbone)
train.output_dir = "output/atss_shapes"
