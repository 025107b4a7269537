"""PAA on COCO, sampling-free as in v2.

For comparison, the released code's README: 41.0 AP (theirs, on another code base); Focal Loss 40.4 AP.

python train_net.py --config-file configs/torchvision/paa_coco.py --num-gpus 8

90,000 iterations at batch 16, hours on 8 GPUs; not run here.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision import paa_resnet50_fpn

from ..common.coco import dataloader, engine, lr_multiplier, num_classes, optimizer, train

model = L(paa_resnet50_fpn)(num_classes=num_classes, weights_backbone="DEFAULT")
train.output_dir = "output/paa_coco"
