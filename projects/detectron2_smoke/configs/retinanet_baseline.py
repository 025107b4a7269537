"""RetinaNet with Focal Loss on blood cells, from the COCO files."""

from ....configs.detectron2.common.small import retinanet
from .common.bccd import dataloader, engine, lr_multiplier, num_classes, optimizer, smallest, train

model = retinanet(num_classes, smallest)
train.output_dir = "output/detectron2_smoke/retinanet_baseline"
