"""FCOS on COCO, sampling-free as in v2.

For comparison, v2 Table III(b): 37.6 AP (theirs, on another code base).

python train_net.py --config-file configs/torchvision/fcos_coco.py --num-gpus 8

90,000 iterations at batch 16, hours on 8 GPUs; not run here.
"""

from ..common.sampling_free import sampling_free
from .fcos_coco_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model)
train.output_dir = "output/fcos_coco"
