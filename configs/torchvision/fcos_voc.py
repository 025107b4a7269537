"""FCOS on VOC 07+12, sampling-free as in v2. The papers have no such row.

python train_net.py --config-file configs/torchvision/fcos_voc.py --num-gpus 8

18,000 iterations at batch 16, hours on 2 GPUs; not run here.
"""

from ..common.sampling_free import sampling_free
from .fcos_voc_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model)
train.output_dir = "output/fcos_voc"
