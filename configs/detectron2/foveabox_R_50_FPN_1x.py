"""FoveaBox R-50-FPN 1x on COCO, sampling-free as in v2.

v1, by its own scaling: 36.8 AP on test-dev (theirs, on another code base).

python train_net.py --config-file configs/detectron2/foveabox_R_50_FPN_1x.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .common.dense import sampling_free
from .foveabox_R_50_FPN_1x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

sampling_free(model, dataloader, optimizer, train)
train.output_dir = "output/detectron2/foveabox_R_50_FPN_1x"
