"""RetinaNet with plain cross-entropy on all anchors and Focal Loss's initialisation: what the papers start from."""

from sampling_free.config import LazyCall as L
from sampling_free.mechanism import ConstantScaling

from ....configs.common.sampling_free import sampling_free
from ....configs.torchvision.retinanet_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model, scaling=L(ConstantScaling)(w=1.0))
train.prior = 0.01
train.output_dir = "output/demo/cross_entropy"
