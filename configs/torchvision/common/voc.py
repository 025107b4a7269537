"""PASCAL VOC 07+12 -> 07 test: 18,000 iterations at batch 16, as v2 Table VI. The data lie in $VOC_ROOT."""

from sampling_free.config import LazyCall as L
from sampling_free.data.paths import root_from
from sampling_free.torchvision.train import transforms
from sampling_free.torchvision.train.datasets import VocDetection

from ...common.schedules import voc_07_12
from .run import run


def on_voc(model, lr=0.01):
    """A config that trains a model on trainval of both years and evaluates it on 2007's test."""
    model.num_classes = 21  # 20 classes and torchvision's background
    trainval = _splits([["VOC2007", "trainval"], ["VOC2012", "trainval"]], transforms.training)
    test = _splits([["VOC2007", "test"]], transforms.evaluation)
    dataloader = dict(
        train=dict(dataset=trainval, total_batch_size=16, num_workers=4),
        test=dict(dataset=test, batch_size=1, num_workers=4, masks=False),
    )
    return run(model, dataloader, voc_07_12, lr=lr, max_iter=18_000, eval_period=6_000)


def _splits(names, transform):
    return L(VocDetection)(root=root_from("VOC_ROOT", "data/VOCdevkit"), splits=names, transforms=L(transform)())
