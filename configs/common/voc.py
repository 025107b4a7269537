"""PASCAL VOC 07+12 -> 07 test: 18,000 iterations at batch 16, as v2 Table VI. The data lie in $VOC_ROOT."""

import os

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.train import transforms
from sampling_free.torchvision.train.datasets import VocDetection

from .optim import sgd as optimizer
from .schedules import voc_07_12 as lr_multiplier
from .train import train

engine = "sampling_free.torchvision.train.engine"
root = os.environ.get("VOC_ROOT", "data/VOCdevkit")
num_classes = 21  # 20 classes and torchvision's background


def splits(names, transform):
    return L(VocDetection)(root=root, splits=names, transforms=transform)


dataloader = dict(
    train=dict(
        dataset=splits([["VOC2007", "trainval"], ["VOC2012", "trainval"]], L(transforms.training)()),
        total_batch_size=16,
        num_workers=4,
    ),
    test=dict(
        dataset=splits([["VOC2007", "test"]], L(transforms.evaluation)()), batch_size=1, num_workers=4, masks=False
    ),
)
train.update(max_iter=18_000, eval_period=6_000, checkpoint_period=1_000)
