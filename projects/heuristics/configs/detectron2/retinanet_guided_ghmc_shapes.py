"""detectron2's RetinaNet on the shapes with GHM-C, and guided scaling on top of it; the bias stays GHM-C's."""

from detectron2.config import LazyCall as L

from sampling_free.mechanism import LearnedScaling

from .....configs.detectron2.retinanet_shapes import optimizer
from .retinanet_ghmc_shapes import dataloader, engine, lr_multiplier, model, train

model.scaling = L(LearnedScaling)()
dataloader.train.dataset.filter_empty = False
train.output_dir = "output/heuristics/detectron2/retinanet_guided_ghmc_shapes"
