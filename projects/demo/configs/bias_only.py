"""The optimal bias without any scaling: in the papers this diverges."""

from sampling_free.config import LazyCall as L
from sampling_free.mechanism import ConstantScaling

from ....configs.common.sampling_free import sampling_free
from ....configs.torchvision.retinanet_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model, scaling=L(ConstantScaling)(w=1.0))
train.output_dir = "output/demo/bias_only"
