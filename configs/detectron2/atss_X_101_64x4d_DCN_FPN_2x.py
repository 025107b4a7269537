"""ATSS X-101-64x4d-DCN-FPN 2x, short side 640 to 800, on COCO, sampling-free as in v2.

v2 Table VIII: 48.2 AP on test-dev (theirs, on another code base).

python train_net.py --config-file configs/detectron2/atss_X_101_64x4d_DCN_FPN_2x.py --num-gpus 8

180,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .atss_X_101_64x4d_DCN_FPN_2x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train
from .common.dense import sampling_free

sampling_free(model, dataloader, optimizer, train)
train.output_dir = "output/detectron2/atss_X_101_64x4d_DCN_FPN_2x"
