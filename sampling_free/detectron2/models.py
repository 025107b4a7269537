"""detectron2's detectors as config nodes for any number of classes: on its ResNet, or on a small one for a CPU.

The small ResNet has one basic block a stage and a narrow pyramid. All train from random weights there, so BatchNorm
trains and heads are normalised. Two-stage box losses are the papers' smooth L1 (beta 1/9 and 1): guided classification
is as large as they are, and L1 of a network that knows nothing is too large.
"""

from pathlib import Path
from typing import Any

import detectron2
from detectron2.config import LazyCall as L
from detectron2.config import LazyConfig
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone.resnet import BasicBlock, ResNet
from omegaconf import DictConfig

from sampling_free import detectors
from sampling_free.detectron2.dense import ATSS, PAA, YOLOV3, FoveaBox
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling

_WIDTH = 64  # channels of the small pyramid and its heads; 256 would spend four fifths of the time in the heads
_HIDDEN = 256  # of its box heads
_KINDS = {"atss": ATSS, "paa": PAA, "foveabox": FoveaBox}

Node = DictConfig


def host_config(name: str, key: str | None = None) -> Any:
    """The nodes of one of detectron2's own config files, `common/models/fcos.py` for one, or one of these nodes."""
    # by path: detectron2's model_zoo module needs pkg_resources, which newer versions of setuptools lack
    configs = Path(detectron2.__file__).parent / "model_zoo" / "configs"
    return LazyConfig.load(str(configs / name), key)


def retinanet(num_classes: int, depth: int | None = None, smallest: int = 32) -> Node:
    """RetinaNet with three scales a level.

    Args:
        num_classes: C.
        depth: of the ResNet, 50 or 101; None for the small one, whose pyramid begins at stride 4 instead of 8.
        smallest: side of the smallest anchors, in pixels.
    """
    model = _one_stage("retinanet", num_classes, depth)
    sizes = [[smallest * 2 ** (level + third / 3) for third in range(3)] for level in range(5)]
    model.anchor_generator.update(sizes=sizes)
    if depth is None:
        model.head.norm = "GN"
        model.backbone.top_block.update(in_channels=256, in_feature="res4")
        model.anchor_generator.update(strides=[4, 8, 16, 32, 64])
    return model


def fcos(num_classes: int, depth: int | None = None) -> Node:
    """FCOS; arguments as `retinanet`."""
    model = _one_stage("fcos", num_classes, depth)
    if depth is None:
        model.backbone.top_block.update(in_channels=_WIDTH, in_feature="p4")
        model.test_score_thresh = 0.05
    return model


def mask_rcnn(num_classes: int, depth: int | None = None, smallest: int = 32) -> Node:
    """Mask R-CNN with one anchor size a level; arguments as `retinanet`."""
    model = _two_stage("mask_rcnn_fpn", num_classes, depth, smallest)
    if depth is None:
        shape = ShapeSpec(channels=_WIDTH, width=14, height=14)
        model.roi_heads.mask_head.update(input_shape=shape, conv_dims=[_WIDTH] * 3)
    return model


def faster_rcnn(num_classes: int, depth: int | None = None, smallest: int = 32) -> Node:
    """Faster R-CNN; arguments as `mask_rcnn`."""
    return _without_masks(_two_stage("mask_rcnn_fpn", num_classes, depth, smallest))


def cascade_rcnn(num_classes: int, depth: int | None = None, smallest: int = 32) -> Node:
    """Cascade R-CNN of three stages; arguments as `mask_rcnn`."""
    return _without_masks(_two_stage("cascade_rcnn", num_classes, depth, smallest))


def atss(num_classes: int, depth: int | None = None, **options: Any) -> Node:
    """ATSS, sampling-free; options are those of `detectors.atss`, further arguments as `retinanet`."""
    return _dense("atss", num_classes, depth, options)


def paa(num_classes: int, depth: int | None = None, **options: Any) -> Node:
    """PAA; arguments as `atss`."""
    return _dense("paa", num_classes, depth, options)


def foveabox(num_classes: int, depth: int | None = None, **options: Any) -> Node:
    """FoveaBox; arguments as `atss`."""
    return _dense("foveabox", num_classes, depth, {"norm": detectors.group_norm} | options)


def yolov3(num_classes: int, depth: int | None = None, **options: Any) -> Node:
    """YOLOv3 on three stages of the ResNet; arguments as `atss`."""
    host = _one_stage("fcos", num_classes, depth)
    small = depth is None
    names = ["res2", "res3", "res4"] if small else ["res3", "res4", "res5"]
    channels, strides = ([64, 128, 256], [4, 8, 16]) if small else ([512, 1024, 2048], [8, 16, 32])
    head = L(detectors.yolov3)(num_classes=num_classes, in_channels=channels, strides=strides, **options)
    return _node(YOLOV3, host.backbone.bottom_up, head, names, host)


def own_form(name: str) -> dict[str, Any]:
    """The choices with which `atss`, `paa`, `foveabox` or `yolov3` train as their papers have it."""
    if name == "yolov3":
        return {"quality": L(detectors.Objectness)(), "scaling": L(ConstantScaling)()}
    loss = L(FocalLoss)(alpha=0.4, gamma=1.5) if name == "foveabox" else L(FocalLoss)()
    return {"classification_loss": loss, "scaling": L(ConstantScaling)()}


def _dense(name: str, num_classes: int, depth: int | None, options: dict[str, Any]) -> Node:
    host = fcos(num_classes, depth)
    if depth is None:
        options = {"channels": _WIDTH, "strides": [4, 8, 16, 32, 64]} | options
    head = L(getattr(detectors, name))(num_classes=num_classes, **options)
    return _node(_KINDS[name], host.backbone, head, host.head_in_features, host)


def _node(kind: type, backbone: Node, head: Node, names: list[str], host: Node) -> Node:
    pixels = {"pixel_mean": host.pixel_mean, "pixel_std": host.pixel_std}
    return L(kind)(backbone=backbone, head=head, head_in_features=names, **pixels)


def _on_resnet(name: str, num_classes: int, depth: int | None) -> Node:
    model = host_config(f"common/models/{name}.py", "model")
    (model.roi_heads if "roi_heads" in model else model).num_classes = num_classes
    if depth is not None:
        model.backbone.bottom_up.stages.depth = depth
        return model
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
    return model


def _one_stage(name: str, num_classes: int, depth: int | None) -> Node:
    model = _on_resnet(name, num_classes, depth)
    if depth is None:
        model.backbone.bottom_up.out_features = ["res2", "res3", "res4"]
        model.backbone.in_features = ["res2", "res3", "res4"]
        model.backbone.bottom_up.stages = model.backbone.bottom_up.stages[:3]
        model.head_in_features = ["p2", "p3", "p4", "p5", "p6"]
        model.head.update(input_shape=[ShapeSpec(channels=_WIDTH)] * 5, conv_dims=[_WIDTH] * 4)
    return model


def _two_stage(name: str, num_classes: int, depth: int | None, smallest: int) -> Node:
    model = _on_resnet(name, num_classes, depth)
    rpn, heads = model.proposal_generator, model.roi_heads
    rpn.anchor_generator.sizes = [[smallest * 2**level] for level in range(5)]
    if depth is not None:
        return model
    rpn.head.in_channels = _WIDTH
    # 1000 proposals would be one every 2 x 2 pixels, and RoIAlign half the time
    rpn.update(pre_nms_topk=(1000, 500), post_nms_topk=(100, 100), smooth_l1_beta=1 / 9)
    heads.box_pooler.update(canonical_box_size=56, canonical_level=4)
    cascade = "box_heads" in heads
    for head in heads.box_heads if cascade else [heads.box_head]:
        head.update(input_shape=ShapeSpec(channels=_WIDTH, height=7, width=7), fc_dims=[_HIDDEN, _HIDDEN])
    for predictor in heads.box_predictors if cascade else [heads.box_predictor]:
        predictor.update(input_shape=ShapeSpec(channels=_HIDDEN), smooth_l1_beta=1.0)
    return model


def _without_masks(model: Node) -> Node:
    """detectron2 has its two-stage models as LazyConfigs with masks only: here they lose them."""
    for name in ("mask_in_features", "mask_pooler", "mask_head"):
        model.roi_heads.pop(name)
    return model
