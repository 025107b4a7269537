"""Guided scaling with Focal Loss's initialisation: in the papers this diverges."""

from sampling_free.config import LazyCall as L
from sampling_free.mechanism import GuidedScaling

from ....configs.common.sampling_free import sampling_free
from ....configs.torchvision.retinanet_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model, scaling=L(GuidedScaling)())
train.prior = 0.01
train.output_dir = "output/demo/guided_only"
