"""RetinaNet on the shapes with GHM-C, and the optimal bias and guided scaling on top of it."""

from sampling_free.config import LazyCall as L
from sampling_free.mechanism import LearnedScaling

from .retinanet_ghmc import dataloader, engine, lr_multiplier, model, optimizer, train

model.scaling = L(LearnedScaling)()
train.update(prior="auto", output_dir="output/heuristics/torchvision/retinanet_guided_ghmc")
