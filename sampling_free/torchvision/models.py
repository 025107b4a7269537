"""torchvision's detectors with narrow heads, for small images: on a small ResNet, or on any pyramid."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import FCOS, FasterRCNN, MaskRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from sampling_free.detectors import DenseDetector, atss, foveabox, paa, yolov3
from sampling_free.detectors.yolov3 import SMALL_ANCHORS
from sampling_free.mechanism import bias_of_prior
from sampling_free.torchvision.dense import IMAGENET_MEAN, IMAGENET_STD, DenseModel
from sampling_free.torchvision.pretraining import resnet10, shapes_resnet10

_Model = TypeVar("_Model", bound=nn.Module)

_REPRESENTATION = 256  # units of the box head
_WIDTH = 64  # channels of pyramid and heads; 256 would spend four fifths of the time in the heads


def _pyramid(levels: list[int], weights_backbone: str | None, **options: Any) -> BackboneWithFPN:
    """A ResNet of one block a stage, its BatchNorm training, and a pyramid on some of its stages."""
    body = resnet10() if weights_backbone is None else shapes_resnet10(weights_backbone)
    channels = [64 * 2 ** (level - 1) for level in levels]
    names = {f"layer{level}": str(i) for i, level in enumerate(levels)}
    return BackboneWithFPN(body, names, channels, _WIDTH, **options)


def small_pyramid(*, two_stage: bool = False) -> BackboneWithFPN:
    """The pyramid of this file's detectors, levels P2 to P6, from random weights.

    Args:
        two_stage: as Faster and Mask R-CNN have it; else as one-stage detectors do.
    """
    if two_stage:
        return _pyramid([1, 2, 3, 4], None)
    return _pyramid([1, 2, 3], None, extra_blocks=LastLevelP6P7(_WIDTH, _WIDTH))


def small_stages() -> IntermediateLayerGetter:
    """The stages of strides 4, 8 and 16 of this file's ResNet, from random weights, as YOLOv3 takes them."""
    stages = IntermediateLayerGetter(resnet10(), {f"layer{level}": str(level) for level in (1, 2, 3)})
    stages.channels = [64, 128, 256]
    return stages


def _fast(model: _Model) -> _Model:
    """Channels last, which a CPU's convolutions like: a third less time a step."""
    return model.to(memory_format=torch.channels_last)


def retinanet_resnet10_fpn(
    num_classes: int, size: int = 64, smallest: int = 8, weights_backbone: str | None = None, **options: Any
) -> RetinaNet:
    """RetinaNet on levels P2 to P6 (strides 4 to 64).

    Args:
        num_classes: of torchvision, background included.
        size: images are resized to this shorter side.
        smallest: see `small_retinanet`.
        weights_backbone: path of the backbone's weights; where there is none it is trained (`pretraining`). None starts
            from random ones.
        options: further ones of `small_retinanet`.
    """
    pyramid = _pyramid([1, 2, 3], weights_backbone, extra_blocks=LastLevelP6P7(_WIDTH, _WIDTH))
    return small_retinanet(pyramid, num_classes, size=size, smallest=smallest, **options)


def small_retinanet(
    pyramid: nn.Module,
    num_classes: int,
    *,
    size: int,
    smallest: int,
    prior_prob: float = 0.01,
    **options: Any,
) -> RetinaNet:
    """RetinaNet on a pyramid of five levels, with three scales a level.

    Args:
        pyramid: of `out_channels` channels.
        num_classes: of torchvision, background included.
        size: images are resized to this shorter side.
        smallest: side of the smallest anchors of the finest level, in pixels; they double from level to level.
        prior_prob: of every class in every place, before training; torchvision's own.
        options: further ones of `RetinaNet`.
    """
    width = pyramid.out_channels
    sizes = tuple(tuple(round(smallest * 2 ** (level + third / 3)) for third in range(3)) for level in range(5))
    anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5)
    head = RetinaNetHead(width, 9, num_classes)
    # four narrow layers that start at N(0, 0.01), as torchvision's wide ones do, would pass on next to nothing
    for layer in [*head.classification_head.conv.modules(), *head.regression_head.conv.modules()]:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.constant_(head.classification_head.cls_logits.bias, bias_of_prior(prior_prob))
    options = {"min_size": size, "max_size": 2 * size, "anchor_generator": anchors, "head": head} | options
    return _fast(RetinaNet(pyramid, num_classes, **options))


def fcos_resnet10_fpn(num_classes: int, size: int = 64, weights_backbone: str | None = None, **options: Any) -> FCOS:
    """FCOS on levels P2 to P6; arguments as `retinanet_resnet10_fpn`."""
    pyramid = _pyramid([1, 2, 3], weights_backbone, extra_blocks=LastLevelP6P7(_WIDTH, _WIDTH))
    return small_fcos(pyramid, num_classes, size=size, **options)


def small_fcos(pyramid: nn.Module, num_classes: int, *, size: int, **options: Any) -> FCOS:
    """FCOS on a pyramid of five levels; arguments as `small_retinanet`."""
    return _fast(FCOS(pyramid, num_classes, **{"min_size": size, "max_size": 2 * size} | options))


def fasterrcnn_resnet10_fpn(
    num_classes: int, size: int = 64, smallest: int = 8, weights_backbone: str | None = None, **options: Any
) -> FasterRCNN:
    """Faster R-CNN on levels P2 to P6, one anchor size a level; arguments as `retinanet_resnet10_fpn`."""
    pyramid = _pyramid([1, 2, 3, 4], weights_backbone)
    return small_fasterrcnn(pyramid, num_classes, size=size, smallest=smallest, **options)


def small_fasterrcnn(pyramid: Any, num_classes: int, *, size: int, smallest: int, **options: Any) -> FasterRCNN:
    """Faster R-CNN on a pyramid of five levels; arguments as `small_retinanet`."""
    options = _two_stage(num_classes, size, smallest, pyramid.out_channels) | options
    return _fast(FasterRCNN(pyramid, **options))


def maskrcnn_resnet10_fpn(
    num_classes: int, size: int = 64, smallest: int = 8, weights_backbone: str | None = None, **options: Any
) -> MaskRCNN:
    """Mask R-CNN on levels P2 to P6; arguments as `retinanet_resnet10_fpn`."""
    pyramid = _pyramid([1, 2, 3, 4], weights_backbone)
    return small_maskrcnn(pyramid, num_classes, size=size, smallest=smallest, **options)


def small_maskrcnn(pyramid: Any, num_classes: int, *, size: int, smallest: int, **options: Any) -> MaskRCNN:
    """Mask R-CNN on a pyramid of five levels; arguments as `small_retinanet`."""
    width = pyramid.out_channels
    options = _two_stage(num_classes, size, smallest, width) | options
    head, predictor = MaskRCNNHeads(width, (_WIDTH,) * 4, 1), MaskRCNNPredictor(_WIDTH, _WIDTH, num_classes)
    return _fast(MaskRCNN(pyramid, **{"mask_head": head, "mask_predictor": predictor} | options))


def atss_resnet10_fpn(num_classes: int, **options: Any) -> DenseModel:
    """ATSS on levels P2 to P6, anchors from 12 px on.

    Args:
        num_classes: of torchvision, background included.
        options: `size` and `weights_backbone` as `retinanet_resnet10_fpn`, further ones of `detectors.atss`.
    """
    return _dense(atss, num_classes, anchor_scale=3.0, **options)


def paa_resnet10_fpn(num_classes: int, **options: Any) -> DenseModel:
    """PAA on levels P2 to P6, anchors from 12 px on; arguments as `atss_resnet10_fpn`."""
    return _dense(paa, num_classes, anchor_scale=3.0, **options)


def foveabox_resnet10_fpn(num_classes: int, **options: Any) -> DenseModel:
    """FoveaBox on levels P2 to P6; arguments as `atss_resnet10_fpn`."""
    return _dense(foveabox, num_classes, spread=None, **options)  # its towers have no normalisation either


def yolov3_resnet10(
    num_classes: int, size: int = 64, weights_backbone: str | None = None, **options: Any
) -> DenseModel:
    """YOLOv3 on stages of strides 4, 8 and 16; arguments as `atss_resnet10_fpn`."""
    body = resnet10() if weights_backbone is None else shapes_resnet10(weights_backbone)
    stages = IntermediateLayerGetter(body, {f"layer{level}": str(level) for level in (1, 2, 3)})
    head = yolov3(num_classes, in_channels=(64, 128, 256), strides=(4, 8, 16), anchors=SMALL_ANCHORS, **options)
    return _fast(DenseModel(stages, head, min_size=size, max_size=2 * size))


def small_yolov3(
    stages: Any,
    num_classes: int,
    *,
    size: int,
    strides: Sequence[int],
    anchors: Sequence[Sequence[tuple[float, float]]],
    max_size: int | None = None,
    image_mean: Sequence[float] = IMAGENET_MEAN,
    image_std: Sequence[float] = IMAGENET_STD,
    **options: Any,
) -> DenseModel:
    """YOLOv3 on the stages of a backbone, such as `TimmStages`.

    Args:
        stages: of `channels` channels, finest first.
        num_classes: of torchvision, background included.
        size: images are resized to this shorter side.
        strides: of the stages.
        anchors: per stage (width, height) in pixels.
        max_size: of the longer side; default twice the shorter one's.
        image_mean: of the channels, RGB in [0, 1].
        image_std: of the channels.
        options: of `sampling_free.detectors.yolov3`.
    """
    by_stage = [[(width, height) for width, height in of_stage] for of_stage in anchors]
    head = yolov3(num_classes, in_channels=stages.channels, strides=tuple(strides), anchors=by_stage, **options)
    colors = {"image_mean": tuple(image_mean), "image_std": tuple(image_std)}
    return _fast(DenseModel(stages, head, min_size=size, max_size=max_size or 2 * size, **colors))


def _dense(
    detector: Callable[..., DenseDetector],
    num_classes: int,
    *,
    size: int = 64,
    weights_backbone: str | None = None,
    **options: Any,
) -> DenseModel:
    pyramid = _pyramid([1, 2, 3], weights_backbone, extra_blocks=LastLevelP6P7(_WIDTH, _WIDTH))
    return small_dense(detector, pyramid, num_classes, size=size, strides=(4, 8, 16, 32, 64), **options)


def small_dense(
    detector: Callable[..., DenseDetector],
    pyramid: nn.Module,
    num_classes: int,
    *,
    size: int,
    strides: Sequence[int],
    max_size: int | None = None,
    image_mean: Sequence[float] = IMAGENET_MEAN,
    image_std: Sequence[float] = IMAGENET_STD,
    **options: Any,
) -> DenseModel:
    """ATSS, PAA or FoveaBox on a pyramid.

    Args:
        detector: `atss`, `paa` or `foveabox` of `sampling_free.detectors`.
        pyramid: of `out_channels` channels.
        num_classes: of torchvision, background included.
        size: images are resized to this shorter side.
        strides: of the pyramid's levels.
        max_size: of the longer side; default twice the shorter one's.
        image_mean: of the channels, RGB in [0, 1].
        image_std: of the channels.
        options: of the detector.
    """
    head = detector(num_classes, channels=pyramid.out_channels, strides=tuple(strides), **options)
    colors = {"image_mean": tuple(image_mean), "image_std": tuple(image_std)}
    return _fast(DenseModel(pyramid, head, min_size=size, max_size=max_size or 2 * size, **colors))


def _two_stage(num_classes: int, size: int, smallest: int, width: int) -> dict[str, Any]:
    anchors = AnchorGenerator(tuple((smallest * 2**level,) for level in range(5)), ((0.5, 1.0, 2.0),) * 5)
    return {
        "min_size": size,
        "max_size": 2 * size,
        "rpn_anchor_generator": anchors,
        # a bin of an object of a few cells needs no second sample; 1024 units would be two thirds of the step
        "box_roi_pool": MultiScaleRoIAlign(["0", "1", "2", "3"], output_size=7, sampling_ratio=1, canonical_scale=56),
        "box_head": TwoMLPHead(width * 7**2, _REPRESENTATION),
        "box_predictor": FastRCNNPredictor(_REPRESENTATION, num_classes),
        "rpn_pre_nms_top_n_train": 1000,
        "rpn_post_nms_top_n_train": 100,  # 1000 would be one proposal every 2 x 2 pixels
        "rpn_pre_nms_top_n_test": 500,
        "rpn_post_nms_top_n_test": 100,
    }
