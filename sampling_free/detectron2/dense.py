"""ATSS, PAA, FoveaBox and YOLOv3 as meta-architectures of detectron2's, and DarkNet-53 as one of its backbones.

Letters: N images, M boxes, E detections, C classes.
"""

from collections.abc import Callable
from typing import Any

import torch
from detectron2.config import configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import BACKBONE_REGISTRY, FPN, Backbone, build_backbone, build_resnet_backbone
from detectron2.modeling.backbone.fpn import LastLevelP6P7
from detectron2.modeling.meta_arch import META_ARCH_REGISTRY
from detectron2.modeling.meta_arch.dense_detector import DenseDetector as HostDetector
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import get_event_storage, has_event_storage
from torch import Tensor

from sampling_free.detectors import DarkNet53, DenseDetector, atss, foveabox, paa, yolov3
from sampling_free.detectors.maps import Maps
from sampling_free.detectron2.storage import log_scaling
from sampling_free.detectron2.structures import check_classes
from sampling_free.detectron2.yacs import dense_detector_choices
from sampling_free.mechanism import ForegroundStatistics

# detectron2's names of the losses
_NAMES = {
    "classification": "loss_cls",
    "bbox_regression": "loss_box_reg",
    "bbox_ctrness": "loss_centerness",
    "bbox_iou": "loss_iou",
    "objectness": "loss_objectness",
}


class Dense(HostDetector):
    """A backbone of detectron2's and a `DenseDetector`; calls and results are those of detectron2's own detectors.

    The baseline and the sampling-free form differ in the objects that `head` is made of. Bias and score threshold are
    as built until `fit_prior` computes them from data.

    Args:
        backbone: of detectron2's.
        head: what comes behind it.
        head_in_features: names of the feature maps, finest first; default all, by stride.
        pixel_mean: of the channels.
        pixel_std: of the channels.
    """

    head: DenseDetector
    builder: Callable[..., DenseDetector]  # of the head, from a yacs config

    @configurable
    def __init__(self, *, head_in_features: list[str] | None = None, **host: Any) -> None:
        super().__init__(head_in_features=None if head_in_features is None else list(head_in_features), **host)

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Arguments from a yacs config; see `add_sampling_free_config`."""
        node = cfg.MODEL.SAMPLING_FREE.DENSE
        backbone = build_backbone(cfg)
        shapes = [backbone.output_shape()[name] for name in node.IN_FEATURES]
        head = cls.builder(
            node.NUM_CLASSES,
            strides=[shape.stride for shape in shapes],
            **cls._channels([shape.channels for shape in shapes]),
            **dense_detector_choices(cfg),
        )
        head.suppression.most = cfg.TEST.DETECTIONS_PER_IMAGE
        return {
            "backbone": backbone,
            "head": head,
            "head_in_features": node.IN_FEATURES,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    @staticmethod
    def _channels(channels: list[int]) -> dict[str, Any]:
        return {"channels": channels[0]}

    @property
    def statistics(self) -> ForegroundStatistics:
        """The foreground statistics of the head."""
        return self.head.statistics

    @property
    def num_classes(self) -> int:
        """C."""
        return self.head.num_classes

    def forward_training(
        self, images: ImageList, features: list[Tensor], predictions: Maps, gt_instances: list[Instances]
    ) -> dict[str, Tensor]:
        """The losses, scaled, under detectron2's names, and the scale's regulariser if it has one.

        Raises:
            UserError: a class is out of range.
        """
        check_classes(gt_instances, self.num_classes)
        boxes = [instances.gt_boxes.tensor for instances in gt_instances]
        losses = self.head.losses(predictions, boxes, [instances.gt_classes for instances in gt_instances])
        if has_event_storage():
            last = {_host_name(name): value for name, value in self.head.scaling.last.items()}
            count = last.pop("num_foreground")
            get_event_storage().put_scalar("num_pos_anchors", count.item() / len(gt_instances))
            log_scaling(last)
        return {_host_name(name): loss for name, loss in losses.items()}

    def forward_inference(self, images: ImageList, features: list[Tensor], predictions: Maps) -> list[Instances]:
        """Detections of each image, best first."""
        sizes = [(int(height), int(width)) for height, width in images.image_sizes]
        return [
            Instances(size, pred_boxes=Boxes(boxes), scores=scores, pred_classes=classes)
            for size, (boxes, scores, classes) in zip(sizes, self.head.detections(predictions, sizes), strict=True)
        ]

    def labels(self, sizes: list[tuple[int, int]], targets: list[Instances]) -> Tensor:
        """Labels `(N, R)` from the boxes alone, for feature maps of these (height, width)."""
        check_classes(targets, self.num_classes)
        return torch.stack(
            [self.head.labels_without_predictions(sizes, t.gt_boxes.tensor, t.gt_classes) for t in targets]
        )


def _host_name(name: str) -> str:
    """detectron2's name of a loss, also within `raw/<name>` and `<name>/regularizer`."""
    return "/".join(_NAMES.get(part, part) for part in name.split("/"))


@META_ARCH_REGISTRY.register()
class ATSS(Dense):
    """ATSS; see `sampling_free.detectors.atss`."""

    builder = staticmethod(atss)


@META_ARCH_REGISTRY.register()
class PAA(Dense):
    """PAA; see `sampling_free.detectors.paa`."""

    builder = staticmethod(paa)


@META_ARCH_REGISTRY.register()
class FoveaBox(Dense):
    """FoveaBox; see `sampling_free.detectors.foveabox`."""

    builder = staticmethod(foveabox)


@META_ARCH_REGISTRY.register()
class YOLOV3(Dense):
    """YOLOv3; see `sampling_free.detectors.yolov3`."""

    builder = staticmethod(yolov3)

    @staticmethod
    def _channels(channels: list[int]) -> dict[str, Any]:
        return {"in_channels": channels}


class DarkNet53Backbone(Backbone):
    """timm's DarkNet-53 with the feature maps c3, c4 and c5; it wants RGB, normalised as ImageNet's.

    Args:
        weights: "DEFAULT" for timm's ImageNet weights, None for random ones or those of a checkpoint.
    """

    def __init__(self, weights: str | None = "DEFAULT") -> None:
        super().__init__()
        self.body = DarkNet53(weights).body

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Feature maps by name for images `(N, 3, H, W)`."""
        return dict(zip(DarkNet53.names, self.body(x), strict=True))

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and strides by name."""
        shapes = zip(DarkNet53.names, DarkNet53.channels, DarkNet53.strides, strict=True)
        return {name: ShapeSpec(channels=channels, stride=stride) for name, channels, stride in shapes}

    @property
    def size_divisibility(self) -> int:
        """The number that divides the height and width of padded images."""
        return DarkNet53.strides[-1]


@BACKBONE_REGISTRY.register()
def build_darknet53_backbone(cfg: Any, input_shape: ShapeSpec) -> DarkNet53Backbone:
    """DarkNet-53 for `MODEL.BACKBONE.NAME`; its weights are `MODEL.SAMPLING_FREE.DENSE.DARKNET_WEIGHTS`."""
    return DarkNet53Backbone(cfg.MODEL.SAMPLING_FREE.DENSE.DARKNET_WEIGHTS or None)


@BACKBONE_REGISTRY.register()
def build_resnet_fpn_p6_of_p5_backbone(cfg: Any, input_shape: ShapeSpec) -> FPN:
    """A ResNet and its pyramid for `MODEL.BACKBONE.NAME`, P6 made of P5 as in FCOS and ATSS; RetinaNet's is of C5."""
    node = cfg.MODEL.FPN
    return FPN(
        bottom_up=build_resnet_backbone(cfg, input_shape),
        in_features=node.IN_FEATURES,
        out_channels=node.OUT_CHANNELS,
        norm=node.NORM,
        top_block=LastLevelP6P7(node.OUT_CHANNELS, node.OUT_CHANNELS, "p5"),
        fuse_type=node.FUSE_TYPE,
    )
