"""PAA on the shapes, sampling-free as in v2.

python train_net.py --config-file configs/torchvision/paa_shapes.py

About 2 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import paa_resnet10_fpn

from ..common.shapes import dataloader, engine, lr_multiplier, num_classes, optimizer, train, weights_backbone

model = L(paa_resnet10_fpn)(num_classes=num_classes, weights_backbone=weights_backbone)
train.output_dir = "output/paa_shapes"
