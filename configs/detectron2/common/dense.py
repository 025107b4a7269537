"""ATSS, PAA, FoveaBox and YOLOv3 as nodes: their own form first, then what makes them sampling-free."""

import os

from detectron2.config import LazyCall as L
from detectron2.modeling.backbone.resnet import BottleneckBlock, DeformBottleneckBlock, ResNet

from sampling_free import detectors
from sampling_free.detectors.yolov3 import SMALL_ANCHORS
from sampling_free.detectron2 import ATSS, PAA, SCALE_OVERRIDES, YOLOV3, DarkNet53Backbone, FoveaBox
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling

from .small import fcos as small_fcos
from .zoo import host_config

RGB = dict(pixel_mean=[123.675, 116.28, 103.53], pixel_std=[58.395, 57.12, 57.375])  # as torchvision's weights want it

_KINDS = {"atss": ATSS, "paa": PAA, "foveabox": FoveaBox}


def dense(name, num_classes=80, host=None, **options):
    """ATSS, PAA or FoveaBox with Focal Loss, on the backbone of a node of FCOS; default detectron2's own."""
    host = host or host_config("common/models/fcos.py", "model")
    loss = L(FocalLoss)(alpha=0.4, gamma=1.5) if name == "foveabox" else L(FocalLoss)()
    head = L(getattr(detectors, name))(
        num_classes=num_classes, classification_loss=loss, scaling=L(ConstantScaling)(), **options
    )
    return _model(_KINDS[name], host.backbone, head, host.head_in_features, host.pixel_mean, host.pixel_std)


def yolov3(num_classes=80):
    """YOLOv3 with objectness on DarkNet-53, RGB."""
    backbone, names = L(DarkNet53Backbone)(weights="DEFAULT"), ["c3", "c4", "c5"]
    return _model(YOLOV3, backbone, _yolov3_head(num_classes), names, **RGB)


def at_sizes_of_yolov3(dataloader):
    """In place: RGB within 608 px, in training from 320 px on."""
    dataloader.train.mapper.image_format = "RGB"  # which the test mapper takes over
    for split in (dataloader.train, dataloader.test):
        split.mapper.augmentations[0].update(short_edge_length=608, max_size=608)
    dataloader.train.mapper.augmentations[0].short_edge_length = list(range(320, 609, 32))


def small_dense(name, num_classes):
    """ATSS, PAA or FoveaBox on a ResNet of one block a stage, levels P2 to P6."""
    options = dict(norm=detectors.group_norm) if name == "foveabox" else dict(anchor_scale=3.0)
    host = small_fcos(num_classes)
    return dense(name, num_classes, host, channels=64, strides=[4, 8, 16, 32, 64], **options)


def small_yolov3(num_classes):
    """YOLOv3 on the stages res2 to res4 of that ResNet."""
    host = small_fcos(num_classes)
    head = _yolov3_head(num_classes, in_channels=[64, 128, 256], strides=[4, 8, 16], anchors=SMALL_ANCHORS)
    names = ["res2", "res3", "res4"]
    return _model(YOLOV3, host.backbone.bottom_up, head, names, host.pixel_mean, host.pixel_std)


def sampling_free(model, dataloader, optimizer, train):
    """In place: plain cross-entropy, learned scaling, no objectness; images without objects train too."""
    for choice in ("classification_loss", "scaling", "quality"):
        model.head.pop(choice, None)
    dataloader.train.dataset.filter_empty = False
    optimizer.params.overrides = SCALE_OVERRIDES  # a learned scale has no weight decay
    train.prior = "auto"


def with_resnext101_dcn(model, dataloader, train):
    """In place: ResNeXt-101-64x4d with DCNv2 in its last two stages and in the last convolution of each tower.

    Its ImageNet weights are torchvision's, converted by detectron2's tools/convert-torchvision-to-d2.py; they want RGB.
    """
    model.backbone.bottom_up.stages = [_resnext_stage(i) for i in range(4)]
    model.head.last_conv = detectors.DeformableConv
    model.update(RGB)
    dataloader.train.mapper.image_format = "RGB"  # which the test mapper takes over
    train.init_checkpoint = os.environ.get("X_101_64X4D", "output/detectron2/X-101-64x4d.pkl")


def _resnext_stage(i):
    deform = i >= 2
    return L(ResNet.make_stage)(
        block_class=DeformBottleneckBlock if deform else BottleneckBlock,
        num_blocks=(3, 4, 23, 3)[i],
        stride_per_block=[1 if i == 0 else 2] + [1] * ((3, 4, 23, 3)[i] - 1),
        in_channels=(64, 256, 512, 1024)[i],
        out_channels=256 * 2**i,
        bottleneck_channels=256 * 2**i,
        num_groups=64,
        norm="FrozenBN",
        **(dict(deform_modulated=True) if deform else {}),
    )


def _yolov3_head(num_classes, **options):
    quality = L(detectors.Objectness)()
    return L(detectors.yolov3)(num_classes=num_classes, quality=quality, scaling=L(ConstantScaling)(), **options)


def _model(kind, backbone, head, names, pixel_mean, pixel_std):
    return L(kind)(backbone=backbone, head=head, head_in_features=names, pixel_mean=pixel_mean, pixel_std=pixel_std)
