"""RetinaNet on the shapes with GHM-C and GHM-R, the latter as in retinanet_ghmr.py, ten-fold as in the public code."""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import GHMR
from sampling_free.mechanism import PerForeground

from .retinanet_ghmc import dataloader, engine, lr_multiplier, model, optimizer, train

model.update(box_loss=L(GHMR)(mu=0.2), normalizer=L(PerForeground)(localization_weight=10.0))
train.output_dir = "output/heuristics/torchvision/retinanet_ghmc_ghmr"
