"""RetinaNet with Focal Loss, divided by the foreground of the batch as in its paper.

torchvision divides by that of each image, at least 1: an image without objects then weighs hundreds of times more than
its neighbours. With this row and the others alike in all but the loss, the comparison is of losses alone.
"""

from sampling_free.config import LazyCall as L
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling

from ....configs.common.sampling_free import sampling_free
from ....configs.torchvision.retinanet_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model, classification_loss=L(FocalLoss)(), scaling=L(ConstantScaling)(w=1.0))
train.prior = 0.01
train.output_dir = "output/demo/focal"
