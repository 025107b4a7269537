"""RetinaNet with plain cross-entropy on all anchors and Focal Loss's initialisation: what the papers start from.

python train_net.py --config-file configs/torchvision/retinanet_shapes_cross_entropy.py

About 2 minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.mechanism import ConstantScaling

from ..common.sampling_free import sampling_free
from .retinanet_shapes_focal import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model, scaling=L(ConstantScaling)(w=1.0))
train.prior = 0.01
train.output_dir = "output/retinanet_shapes_cross_entropy"
