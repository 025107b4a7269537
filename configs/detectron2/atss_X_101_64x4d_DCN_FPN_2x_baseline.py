"""ATSS X-101-64x4d-DCN-FPN 2x, short side 640 to 800, with Focal Loss on COCO: the baseline.

v2 Table VIII: 47.7 AP on test-dev (theirs, on another code base).

python train_net.py --config-file configs/detectron2/atss_X_101_64x4d_DCN_FPN_2x_baseline.py --num-gpus 8

180,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .atss_R_50_FPN_1x_baseline import dataloader, engine, model, optimizer, train
from .common.dense import with_resnext101_dcn
from .common.schedules import twice_as_long

with_resnext101_dcn(model, dataloader, train)
lr_multiplier = twice_as_long(train)
train.output_dir = "output/detectron2/atss_X_101_64x4d_DCN_FPN_2x_baseline"
