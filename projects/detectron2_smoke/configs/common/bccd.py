"""Blood cells (BCCD, 205 training and 72 test images): COCO files or VOC layout in $BCCD_ROOT, reduced to 160 px."""

import os

import detectron2.data.transforms as T
from detectron2.config import LazyCall as L

from sampling_free.detectron2.train.splits import coco_split, voc_split

from .....configs.common.schedules import steps
from .....configs.detectron2.common.shapes import dataloader as loaders
from .....configs.detectron2.common.shapes import engine, optimizer, train

root = os.environ.get("BCCD_ROOT", "data/bccd")
num_classes = 3  # red and white blood cells, platelets
smallest = 16  # px, the side of the smallest anchors


def coco(split):
    annotations = f"annotations/instances_{split}.json"
    return L(coco_split)(
        name=f"bccd_{split}", root=root, images="JPEGImages", annotations=annotations, filter_empty=False
    )


def voc(split):
    classes = ["RBC", "WBC", "Platelets"]
    return L(voc_split)(name=f"bccd_voc_{split}", root=root, splits=[[".", split]], classes=classes, filter_empty=False)


def data(read):
    dataloader = loaders()
    shorter = L(T.ResizeShortestEdge)(short_edge_length=160, max_size=320)  # the images are 640 x 480
    dataloader.train.dataset, dataloader.test.dataset = read("train"), read("test")
    dataloader.train.mapper.augmentations = [shorter, L(T.RandomFlip)(horizontal=True)]
    dataloader.test.mapper.augmentations = [shorter]
    dataloader.train.total_batch_size = 4
    return dataloader


dataloader = data(coco)
lr_multiplier = steps(400, [320], warmup=80, start=0.05)  # 8 passes over 205 images at batch 4
train.update(max_iter=400, eval_period=200, checkpointer=dict(period=100), log_period=5)
