"""FoveaBox with Focal Loss on the shapes: the baseline.

python train_net.py --config-file configs/torchvision/foveabox_shapes_baseline.py

About 2 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling

from .foveabox_shapes import dataloader, engine, lr_multiplier, model, optimizer, train

model.update(classification_loss=L(FocalLoss)(alpha=0.4, gamma=1.5), scaling=L(ConstantScaling)())
train.update(output_dir="output/foveabox_shapes_baseline", prior=None)
