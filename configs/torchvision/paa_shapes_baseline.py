"""PAA with Focal Loss on the shapes: the baseline.

python train_net.py --config-file configs/torchvision/paa_shapes_baseline.py

About 2 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling

from .paa_shapes import dataloader, engine, lr_multiplier, model, optimizer, train

model.update(classification_loss=L(FocalLoss)(), scaling=L(ConstantScaling)())
train.update(output_dir="output/paa_shapes_baseline", prior=None)
