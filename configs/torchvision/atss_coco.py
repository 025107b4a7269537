"""ATSS on COCO, sampling-free as in v2.

For comparison, ATSS's own README: 39.3 AP with Focal Loss (theirs); the papers give its sampling-free form on
ResNeXt-101-64x4d-DCN alone.

python train_net.py --config-file configs/torchvision/atss_coco.py --num-gpus 8

90,000 iterations at batch 16, hours on 8 GPUs; not run here.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision import atss_resnet50_fpn

from ..common.coco import dataloader, engine, lr_multiplier, num_classes, optimizer, train

model = L(atss_resnet50_fpn)(num_classes=num_classes, weights_backbone="DEFAULT")
train.output_dir = "output/atss_coco"
