"""ATSS with Focal Loss on COCO: the baseline.

For comparison, ATSS's own README: 39.3 AP with Focal Loss (theirs); the papers give its sampling-free form on
ResNeXt-101-64x4d-DCN alone.

python train_net.py --config-file configs/torchvision/atss_coco_baseline.py --num-gpus 8

90,000 iterations at batch 16, hours on 8 GPUs; not run here.
"""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling

from .atss_coco import dataloader, engine, lr_multiplier, model, optimizer, train

model.update(classification_loss=L(FocalLoss)(), scaling=L(ConstantScaling)())
train.update(output_dir="output/atss_coco_baseline", prior=None)
