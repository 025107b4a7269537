"""FoveaBox R-101-FPN 1x with Focal Loss on COCO: the baseline.

v1: 38.4 AP on test-dev (theirs, on another code base).

python train_net.py --config-file configs/detectron2/foveabox_R_101_FPN_1x_baseline.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .common.resnet101 import with_resnet101
from .foveabox_R_50_FPN_1x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

with_resnet101(model, train)
train.output_dir = "output/detectron2/foveabox_R_101_FPN_1x_baseline"
