"""YOLOv3 on the shapes, sampling-free as in v2.

python train_net.py --config-file configs/torchvision/yolov3_shapes.py

About 2 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import yolov3_resnet10

from ..common.shapes import dataloader, engine, lr_multiplier, num_classes, optimizer, train, weights_backbone

model = L(yolov3_resnet10)(num_classes=num_classes, weights_backbone=weights_backbone)
train.output_dir = "output/yolov3_shapes"
