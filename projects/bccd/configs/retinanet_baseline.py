"""RetinaNet with Focal Loss on blood cells, from the COCO files."""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import retinanet_resnet10_fpn

from .bccd import dataloader, engine, lr_multiplier, num_classes, optimizer, size, train

model = L(retinanet_resnet10_fpn)(num_classes=num_classes, size=size, smallest=16, weights_backbone=None)
optimizer.lr = 0.05
train.output_dir = "output/bccd/retinanet_baseline"
