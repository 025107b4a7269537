"""RetinaNet with Focal Loss on the shapes: torchvision's own, the baseline.

python train_net.py --config-file configs/torchvision/retinanet_shapes_baseline.py

About 2 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import retinanet_resnet10_fpn

from ..common.shapes import dataloader, engine, lr_multiplier, num_classes, optimizer, train, weights_backbone

model = L(retinanet_resnet10_fpn)(num_classes=num_classes, weights_backbone=weights_backbone)
train.output_dir = "output/retinanet_shapes_baseline"
