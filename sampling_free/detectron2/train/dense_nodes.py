"""ATSS, PAA, FoveaBox and YOLOv3 as config nodes, in their own form."""

from typing import Any

from omegaconf import DictConfig

from sampling_free import detectors
from sampling_free.config import LazyCall as L
from sampling_free.detectron2 import ATSS, PAA, YOLOV3, DarkNet53Backbone, FoveaBox
from sampling_free.detectron2.train.zoo import host_config
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling

RGB = dict(pixel_mean=[123.675, 116.28, 103.53], pixel_std=[58.395, 57.12, 57.375])  # as torchvision's weights want it

_KINDS = {"atss": ATSS, "paa": PAA, "foveabox": FoveaBox}


def dense(name: str, num_classes: int = 80, host: DictConfig | None = None, **options: Any) -> DictConfig:
    """ATSS, PAA or FoveaBox with Focal Loss, on the backbone of a node of FCOS; default detectron2's own."""
    if host is None:
        host = host_config("common/models/fcos.py", "model")
    loss = L(FocalLoss)(alpha=0.4, gamma=1.5) if name == "foveabox" else L(FocalLoss)()
    head = L(getattr(detectors, name))(
        num_classes=num_classes, classification_loss=loss, scaling=L(ConstantScaling)(), **options
    )
    colors = dict(pixel_mean=host.pixel_mean, pixel_std=host.pixel_std)
    return L(_KINDS[name])(backbone=host.backbone, head=head, head_in_features=host.head_in_features, **colors)


def yolov3(num_classes: int = 80) -> DictConfig:
    """YOLOv3 with objectness on DarkNet-53, RGB."""
    head = yolov3_head(num_classes)
    backbone = L(DarkNet53Backbone)(weights="DEFAULT")
    return L(YOLOV3)(backbone=backbone, head=head, head_in_features=["c3", "c4", "c5"], **RGB)


def yolov3_head(num_classes: int, **options: Any) -> DictConfig:
    """The head of YOLOv3 with objectness."""
    quality = L(detectors.Objectness)()
    return L(detectors.yolov3)(num_classes=num_classes, quality=quality, scaling=L(ConstantScaling)(), **options)
