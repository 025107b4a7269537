"""ATSS R-50-FPN 1x on COCO, sampling-free as in v2.

The papers give ATSS on ResNeXt-101-64x4d-DCN alone.

python train_net.py --config-file configs/detectron2/atss_R_50_FPN_1x.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .atss_R_50_FPN_1x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train
from .common.dense import sampling_free

sampling_free(model, dataloader, optimizer, train)
train.output_dir = "output/detectron2/atss_R_50_FPN_1x"
