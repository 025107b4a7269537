"""Blood cells (BCCD, 205 images to train, 72 to evaluate): COCO files or VOC layout in $BCCD_ROOT, at 160 px."""

import os

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.train import transforms
from sampling_free.torchvision.train.datasets import CocoDetection, VocDetection

from ....configs.common.optim import sgd as optimizer
from ....configs.common.schedules import steps
from ....configs.common.train import train

engine = "sampling_free.torchvision.train.engine"
root = os.environ.get("BCCD_ROOT", "data/bccd")
num_classes = 4  # red and white blood cells, platelets, and torchvision's background
size = 160  # shorter side; the images are 640 x 480


def coco(split, transform):
    return L(CocoDetection)(
        root=root, images="JPEGImages", annotations=f"annotations/instances_{split}.json", transforms=transform
    )


def voc(split, transform):
    classes = ["RBC", "WBC", "Platelets"]
    return L(VocDetection)(root=root, splits=[[".", split]], classes=classes, transforms=transform)


def data(read):
    return dict(
        train=dict(dataset=read("train", L(transforms.training)()), total_batch_size=4, num_workers=1),
        test=dict(dataset=read("test", L(transforms.evaluation)()), batch_size=8, num_workers=0, masks=False),
    )


dataloader = data(coco)
optimizer.lr = 0.02
lr_multiplier = steps(400, [320], warmup=40, start=0.1)  # 8 passes over 205 images at batch 4
train.update(max_iter=400, eval_period=200, checkpoint_period=100, log_period=5, clip_grad=2.0)
