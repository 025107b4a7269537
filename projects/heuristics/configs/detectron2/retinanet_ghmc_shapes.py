"""detectron2's RetinaNet on the shapes with GHM-C in place of Focal Loss."""

from detectron2.config import LazyCall as L

from sampling_free.detectron2 import make_sampling_free
from sampling_free.heuristics import GHMC
from sampling_free.mechanism import ConstantScaling

from .....configs.detectron2.retinanet_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

make_sampling_free(model, classification_loss=L(GHMC)(), scaling=L(ConstantScaling)(w=1.0))
model.head.prior_prob = 0.2  # where GHM-C puts an undecided network: see ../torchvision/retinanet_ghmc.py
train.prior = None
train.output_dir = "output/heuristics/detectron2/retinanet_ghmc_shapes"
