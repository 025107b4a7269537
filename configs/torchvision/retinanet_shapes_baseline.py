"""RetinaNet with Focal Loss on the shapes: torchvision's own, the baseline.

python train_net.py --config-file configs/torchvision/retinanet_shapes_baseline.py

About 2 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import retinanet_resnet10_fpn

from ..common.schedules import steps
from ..common.shapes import dataloader, engine, num_classes, optimizer, train, weights_backbone

model = L(retinanet_resnet10_fpn)(num_classes=num_classes, weights_backbone=weights_backbone)
# nothing in these heads normalises, so a rare gradient of Focal Loss, many times the usual, would end its run
optimizer.lr = 0.04
lr_multiplier = steps(1200, [960], warmup=40, start=0.1)
train.update(max_iter=1200, eval_period=600, clip_grad=5.0, output_dir="output/retinanet_shapes_baseline")
