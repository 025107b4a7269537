"""Paper v1: guided scaling, nothing learned."""

from sampling_free.config import LazyCall as L
from sampling_free.mechanism import GuidedScaling

from ....configs.common.sampling_free import sampling_free
from ....configs.torchvision.retinanet_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model, scaling=L(GuidedScaling)())
train.output_dir = "output/demo/v1"
