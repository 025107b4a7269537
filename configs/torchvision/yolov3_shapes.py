"""YOLOv3 on the shapes, sampling-free as in v2.

python train_net.py --config-file configs/torchvision/yolov3_shapes.py

A few minutes on 2 cores: one anchor a box learns slowly, so three times the iterations of the others.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import yolov3_resnet10

from ..common.schedules import steps
from ..common.shapes import dataloader, engine, num_classes, optimizer, train, weights_backbone

model = L(yolov3_resnet10)(num_classes=num_classes, weights_backbone=weights_backbone)
lr_multiplier = steps(2400, [1920], warmup=120, start=0.1)
train.update(output_dir="output/yolov3_shapes", max_iter=2400, eval_period=800, clip_grad=10)
