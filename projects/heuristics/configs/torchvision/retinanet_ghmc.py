"""RetinaNet on the shapes with GHM-C in place of Focal Loss.

Its objective is balanced, so an undecided network ends near 0.2 for everything. From Focal Loss's 0.01 all background
would move there, from bin to bin, each time by a gradient many times the usual. Once there, a place weighs the less the
fuller its bin is, so that what GHM-C learns takes three times the iterations.
"""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import GHMC
from sampling_free.mechanism import ConstantScaling

from .....configs.common.sampling_free import sampling_free
from .....configs.common.schedules import steps
from .....configs.torchvision.retinanet_shapes_baseline import dataloader, engine, model, optimizer, train

model.prior_prob = 0.2
model = sampling_free(model, classification_loss=L(GHMC)(), scaling=L(ConstantScaling)(w=1.0))
optimizer.lr = 0.02
lr_multiplier = steps(3600, [2880], warmup=40, start=0.1)
train.update(prior=None, max_iter=3600, eval_period=1200, output_dir="output/heuristics/torchvision/retinanet_ghmc")
