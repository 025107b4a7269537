"""Changes of a whole config of ATSS, PAA, FoveaBox or YOLOv3: each takes one, changes it in place and returns it."""

import os

from detectron2.modeling.backbone.resnet import BottleneckBlock, DeformBottleneckBlock, ResNet

from sampling_free import detectors
from sampling_free.config import LazyCall as L
from sampling_free.detectron2.train.zoo import from_zoo

from .run import every_image

RGB = dict(pixel_mean=[123.675, 116.28, 103.53], pixel_std=[58.395, 57.12, 57.375])  # as torchvision's weights want it


def on_coco(model):
    """The data and the schedule of detectron2's FCOS around a model in its own form."""
    cfg = from_zoo("COCO-Detection/fcos_R_50_FPN_1x.py")
    cfg.model = model
    cfg.train.prior = None
    return cfg


def sampling_free(cfg):
    """Plain cross-entropy, the detector's own scale, no objectness; images without objects train too."""
    for choice in ("classification_loss", "scaling", "quality"):
        cfg.model.head.pop(choice, None)
    cfg.train.prior = "auto"
    return every_image(cfg)


def at_sizes_of_yolov3(cfg):
    """RGB within 608 px, in training from 320 px on."""
    data = cfg.dataloader
    data.train.mapper.image_format = "RGB"  # which the test mapper takes over
    for split in (data.train, data.test):
        split.mapper.augmentations[0].update(short_edge_length=608, max_size=608)
    data.train.mapper.augmentations[0].short_edge_length = list(range(320, 609, 32))
    return cfg


def on_resnext101_dcn(cfg):
    """ResNeXt-101-64x4d with DCNv2 in its last two stages and in the last convolution of each tower.

    Its ImageNet weights are torchvision's, converted by detectron2's tools/convert-torchvision-to-d2.py; they want RGB.
    """
    model = cfg.model
    model.backbone.bottom_up.stages = [_resnext_stage(i) for i in range(4)]
    model.head.last_conv = detectors.DeformableConv
    model.update(RGB)
    cfg.dataloader.train.mapper.image_format = "RGB"  # which the test mapper takes over
    cfg.train.init_checkpoint = os.environ.get("X_101_64X4D", "output/detectron2/X-101-64x4d.pkl")
    return cfg


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
