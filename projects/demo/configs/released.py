"""What the authors' released code does: a ratio frozen after 100 iterations, and uncertainty weights."""

from sampling_free.config import LazyCall as L
from sampling_free.mechanism import FrozenScaling

from ....configs.common.sampling_free import sampling_free
from ....configs.torchvision.retinanet_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model, scaling=L(FrozenScaling)())
train.output_dir = "output/demo/released"
