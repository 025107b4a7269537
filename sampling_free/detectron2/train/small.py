"""Config nodes of detectron2's detectors on a ResNet of one basic block a stage and a narrow pyramid: minutes on a CPU.

All train from random weights, so BatchNorm trains and heads are normalised. Two-stage box losses are the papers' smooth
L1 (beta 1/9 and 1): guided classification is as large as they are, and L1 of a network that knows nothing is too large.
"""

from typing import Any

from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone.resnet import BasicBlock, ResNet
from omegaconf import DictConfig

from sampling_free.config import LazyCall as L
from sampling_free.detectors import group_norm
from sampling_free.detectors.yolov3 import SMALL_ANCHORS
from sampling_free.detectron2 import YOLOV3
from sampling_free.detectron2.train.dense_nodes import dense, yolov3_head
from sampling_free.detectron2.train.zoo import host_config

_WIDTH = 64  # channels of pyramid and heads; 256 would spend four fifths of the time in the heads
_HIDDEN = 256  # of the box heads


def retinanet(num_classes: int, smallest: int = 8) -> DictConfig:
    """On levels P2 to P6 (strides 4 to 64), three scales a level from `smallest` px on."""
    model = _on_small_resnet("retinanet", num_classes)
    _one_stage(model)
    model.head.norm = "GN"
    model.backbone.top_block.update(in_channels=256, in_feature="res4")
    sizes = [[smallest * 2 ** (level + third / 3) for third in range(3)] for level in range(5)]
    model.anchor_generator.update(sizes=sizes, strides=[4, 8, 16, 32, 64])
    return model


def fcos(num_classes: int) -> DictConfig:
    """On levels P2 to P6."""
    model = _on_small_resnet("fcos", num_classes)
    _one_stage(model)
    model.backbone.top_block.update(in_channels=_WIDTH, in_feature="p4")
    model.test_score_thresh = 0.05
    return model


def mask_rcnn(num_classes: int, smallest: int = 8) -> DictConfig:
    """On levels P2 to P6, one anchor size a level."""
    model = _two_stage("mask_rcnn_fpn", num_classes, smallest)
    shape = ShapeSpec(channels=_WIDTH, width=14, height=14)
    model.roi_heads.mask_head.update(input_shape=shape, conv_dims=[_WIDTH] * 3)
    return model


def faster_rcnn(num_classes: int, smallest: int = 8) -> DictConfig:
    """On levels P2 to P6, one anchor size a level."""
    return _without_masks(_two_stage("mask_rcnn_fpn", num_classes, smallest))


def cascade_rcnn(num_classes: int, smallest: int = 8) -> DictConfig:
    """On levels P2 to P6, one anchor size a level; three stages."""
    return _without_masks(_two_stage("cascade_rcnn", num_classes, smallest))


def small_dense(name: str, num_classes: int) -> DictConfig:
    """ATSS, PAA or FoveaBox with Focal Loss, on levels P2 to P6."""
    options: dict[str, Any] = dict(norm=group_norm) if name == "foveabox" else dict(anchor_scale=3.0)
    return dense(name, num_classes, fcos(num_classes), channels=_WIDTH, strides=[4, 8, 16, 32, 64], **options)


def small_yolov3(num_classes: int) -> DictConfig:
    """YOLOv3 with objectness on the stages res2 to res4."""
    host = fcos(num_classes)
    head = yolov3_head(num_classes, in_channels=[64, 128, 256], strides=[4, 8, 16], anchors=SMALL_ANCHORS)
    colors = dict(pixel_mean=host.pixel_mean, pixel_std=host.pixel_std)
    names = ["res2", "res3", "res4"]
    return L(YOLOV3)(backbone=host.backbone.bottom_up, head=head, head_in_features=names, **colors)


def _without_masks(model: Any) -> Any:
    for name in ("mask_in_features", "mask_pooler", "mask_head"):
        model.roi_heads.pop(name)
    return model


def _on_small_resnet(name: str, num_classes: int) -> Any:
    model = host_config(f"common/models/{name}.py", "model")
    model.backbone.out_channels = _WIDTH
    resnet = model.backbone.bottom_up
    resnet.stem.norm = "BN"
    resnet.stages = [
        L(ResNet.make_stage)(
            block_class=BasicBlock,
            num_blocks=1,
            stride_per_block=[stride],
            in_channels=into,
            out_channels=out,
            norm="BN",
        )
        for into, out, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
    ]
    model.pixel_std = [57.375, 57.12, 58.395]  # no weights of Caffe's times ask for 1
    (model.roi_heads if "roi_heads" in model else model).num_classes = num_classes
    return model


def _one_stage(model: Any) -> None:
    model.backbone.bottom_up.out_features = ["res2", "res3", "res4"]
    model.backbone.in_features = ["res2", "res3", "res4"]
    model.backbone.bottom_up.stages = model.backbone.bottom_up.stages[:3]
    model.head_in_features = ["p2", "p3", "p4", "p5", "p6"]
    model.head.update(input_shape=[ShapeSpec(channels=_WIDTH)] * 5, conv_dims=[_WIDTH] * 4)


def _two_stage(name: str, num_classes: int, smallest: int) -> Any:
    model = _on_small_resnet(name, num_classes)
    rpn, heads = model.proposal_generator, model.roi_heads
    rpn.head.in_channels = _WIDTH
    rpn.anchor_generator.sizes = [[smallest * 2**level] for level in range(5)]
    # 1000 proposals would be one every 2 x 2 pixels, and RoIAlign half the time
    rpn.update(pre_nms_topk=(1000, 500), post_nms_topk=(100, 100), smooth_l1_beta=1 / 9)
    heads.box_pooler.update(canonical_box_size=56, canonical_level=4)
    cascade = "box_heads" in heads
    for head in heads.box_heads if cascade else [heads.box_head]:
        head.update(input_shape=ShapeSpec(channels=_WIDTH, height=7, width=7), fc_dims=[_HIDDEN, _HIDDEN])
    for predictor in heads.box_predictors if cascade else [heads.box_predictor]:
        predictor.update(input_shape=ShapeSpec(channels=_HIDDEN), smooth_l1_beta=1.0)
    return model
