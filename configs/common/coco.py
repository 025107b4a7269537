"""COCO 2017, 1x: 90,000 iterations at batch 16, as the papers train. The data lie in $COCO_ROOT, or override root."""

import os

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.train import transforms
from sampling_free.torchvision.train.datasets import CocoDetection

from .optim import sgd as optimizer
from .schedules import coco_1x as lr_multiplier
from .train import train

engine = "sampling_free.torchvision.train.engine"
root = os.environ.get("COCO_ROOT", "data/coco")
num_classes = 81  # 80 categories and torchvision's background


def split(name, transform):
    return L(CocoDetection)(
        root=root, images=name, annotations=f"annotations/instances_{name}.json", transforms=transform, masks=False
    )


dataloader = dict(
    train=dict(dataset=split("train2017", L(transforms.training)()), total_batch_size=16, num_workers=4),
    test=dict(dataset=split("val2017", L(transforms.evaluation)()), batch_size=1, num_workers=4, masks=False),
)
train.update(max_iter=90_000, eval_period=10_000, checkpoint_period=1_000)
