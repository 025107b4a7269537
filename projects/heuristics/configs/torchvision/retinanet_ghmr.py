"""RetinaNet on the shapes, sampling-free with GHM-R as the loss that guides."""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import GHMR
from sampling_free.mechanism import PerForeground

from .....configs.torchvision.retinanet_shapes import dataloader, engine, lr_multiplier, model, optimizer, train

model.update(box_loss=L(GHMR)(), normalizer=L(PerForeground)(localization_weight=10.0))
optimizer.lr = 0.01  # as GHM-C, whose noise it shares
train.output_dir = "output/heuristics/torchvision/retinanet_ghmr"
