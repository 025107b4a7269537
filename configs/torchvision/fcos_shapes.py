"""FCOS on the shapes, sampling-free as in v2.

python train_net.py --config-file configs/torchvision/fcos_shapes.py

About 2 minutes on 2 cores.
"""

from ..common.sampling_free import sampling_free
from .fcos_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model)
train.output_dir = "output/fcos_shapes"
