"""FoveaBox on COCO, sampling-free as in v2.

For comparison, v1, by its own scaling: 36.8 AP on test-dev (theirs, on another code base); Focal Loss 36.7 AP.

python train_net.py --config-file configs/torchvision/foveabox_coco.py --num-gpus 8

90,000 iterations at batch 16, hours on 8 GPUs; not run here.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision import foveabox_resnet50_fpn

from ..common.coco import dataloader, engine, lr_multiplier, num_classes, optimizer, train

model = L(foveabox_resnet50_fpn)(num_classes=num_classes, weights_backbone="DEFAULT")
train.update(output_dir="output/foveabox_coco", clip_grad=35)  # the authors' own clip
