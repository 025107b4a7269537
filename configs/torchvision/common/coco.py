"""COCO 2017, 1x: 90,000 iterations at batch 16, as the papers train. The data lie in $COCO_ROOT, or override root."""

from sampling_free.config import LazyCall as L
from sampling_free.data.paths import root_from
from sampling_free.torchvision.train import transforms
from sampling_free.torchvision.train.datasets import CocoDetection

from ...common.schedules import coco_1x
from .run import run


def on_coco(model, lr=0.01, lr_multiplier=coco_1x, **options):
    """A config that trains a model on train2017 and evaluates it on val2017; lr 0.01 is one-stage detectors'."""
    model.num_classes = 81  # 80 categories and torchvision's background
    return run(model, _data(), lr_multiplier, lr=lr, **(dict(eval_period=10_000) | options))


def _data():
    return dict(
        train=dict(dataset=_split("train2017", transforms.training), total_batch_size=16, num_workers=4),
        test=dict(dataset=_split("val2017", transforms.evaluation), batch_size=1, num_workers=4, masks=False),
    )


def _split(name, transform):
    root = root_from("COCO_ROOT", "data/coco")
    annotations = f"annotations/instances_{name}.json"
    return L(CocoDetection)(root=root, images=name, annotations=annotations, transforms=L(transform)(), masks=False)
