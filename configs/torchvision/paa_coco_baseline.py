"""PAA with Focal Loss on COCO: the baseline.

For comparison, the released code's README: 40.4 AP (theirs, on another code base).

python train_net.py --config-file configs/torchvision/paa_coco_baseline.py --num-gpus 8

90,000 iterations at batch 16, hours on 8 GPUs; not run here.
"""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling

from .paa_coco import dataloader, engine, lr_multiplier, model, optimizer, train

model.update(classification_loss=L(FocalLoss)(), scaling=L(ConstantScaling)())
train.update(output_dir="output/paa_coco_baseline", prior=None)
