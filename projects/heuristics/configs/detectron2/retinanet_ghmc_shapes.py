"""detectron2's RetinaNet on the shapes with GHM-C in place of Focal Loss."""

from detectron2.config import LazyCall as L

from sampling_free.detectron2 import make_sampling_free
from sampling_free.heuristics import GHMC
from sampling_free.mechanism import ConstantScaling

from .....configs.common.schedules import steps
from .....configs.detectron2.retinanet_shapes_baseline import dataloader, engine, model, optimizer, train

make_sampling_free(model, classification_loss=L(GHMC)(), scaling=L(ConstantScaling)(w=1.0))
# an initial bias of its own and three times the iterations: see ../torchvision/retinanet_ghmc.py
model.head.prior_prob = 0.2
lr_multiplier = steps(2400, [1920], warmup=80, start=0.05)
train.update(
    prior=None, max_iter=2400, eval_period=800, output_dir="output/heuristics/detectron2/retinanet_ghmc_shapes"
)
