"""FoveaBox on the shapes, sampling-free as in v2.

python train_net.py --config-file configs/torchvision/foveabox_shapes.py

About 2 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.models import foveabox_resnet10_fpn

from ..common.shapes import dataloader, engine, lr_multiplier, num_classes, optimizer, train, weights_backbone

model = L(foveabox_resnet10_fpn)(num_classes=num_classes, weights_backbone=weights_backbone)
# nothing in its towers normalises, and its box loss is steep at first
optimizer.lr = 0.005
train.update(output_dir="output/foveabox_shapes", clip_grad=35)  # the authors' own clip
