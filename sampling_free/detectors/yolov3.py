"""YOLOv3 (Redmon and Farhadi, "YOLOv3: An Incremental Improvement", 2018)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sampling_free.detectors.anchors import AnchorGrid
from sampling_free.detectors.assigners import ResponsibleAssigner
from sampling_free.detectors.box_losses import YoloLoss
from sampling_free.detectors.codings import YoloCoding
from sampling_free.detectors.dense import DenseDetector
from sampling_free.detectors.heads import INITIAL_PRIOR, initialize
from sampling_free.detectors.maps import Maps
from sampling_free.detectors.quality import NoQuality
from sampling_free.detectors.suppression import Suppression
from sampling_free.heuristics.applicable import check_dense_losses
from sampling_free.mechanism import GuidedScaling, bias_of_prior

COCO_ANCHORS = (  # (width, height) in pixels, by level, finest first
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
SMALL_ANCHORS = (  # for objects of 5 to 50 px, on strides 4, 8 and 16
    ((6, 6), (9, 8), (9, 11)),
    ((13, 12), (14, 17), (19, 16)),
    ((22, 22), (29, 28), (41, 40)),
)


class YoloHead(nn.Module):
    """The pyramid of YOLOv3 and its predictors: each level knows the coarser ones.

    The one predicting convolution of darknet is three here, for classes, boxes and quality; they compute the same.

    Args:
        in_channels: of the L feature maps, finest first.
        num_classes: C.
        num_anchors: A.
        quality_maps: maps of quality per anchor: 1 for objectness, 0 for none.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, num_anchors: int, quality_maps: int) -> None:
        super().__init__()
        widths = [channels // 2 for channels in in_channels]
        above = [*[width // 2 for width in widths[1:]], 0]  # what comes down from the next coarser level
        self.blocks = nn.ModuleList(
            _block(channels + extra, width) for channels, extra, width in zip(in_channels, above, widths, strict=True)
        )
        self.laterals = nn.ModuleList(_conv(width, width // 2, 1) for width in widths[1:])
        self.lasts = nn.ModuleList(_conv(width, 2 * width, 3) for width in widths)
        self.cls_logits = _predictors(widths, num_anchors * num_classes)
        self.bbox_pred = _predictors(widths, num_anchors * 4)
        self.quality = _predictors(widths, num_anchors) if quality_maps else None
        for layer in [*self.cls_logits, *(self.quality or [])]:
            nn.init.constant_(layer.bias, bias_of_prior(INITIAL_PRIOR))

    @property
    def classifiers(self) -> list[nn.Module]:
        """The layers whose outputs are class logits."""
        return list(self.cls_logits)

    def forward(self, features: Sequence[Tensor]) -> Maps:
        """Raw maps for the feature maps `(N, in_channels, H, W)`, finest first."""
        coarser: Tensor | None = None
        refined: list[Tensor] = []
        for level in reversed(range(len(features))):
            feature = features[level]
            if coarser is not None:
                down = F.interpolate(self.laterals[level](coarser), size=feature.shape[-2:], mode="nearest")
                feature = torch.cat([down, feature], dim=1)
            coarser = self.blocks[level](feature)
            refined.insert(0, self.lasts[level](coarser))
        logits, boxes, quality = (
            [predict(x) for predict, x in zip(predictors, refined, strict=True)] if predictors else []
            for predictors in (self.cls_logits, self.bbox_pred, self.quality)
        )
        return Maps(logits, boxes, quality)


def _conv(in_channels: int, channels: int, kernel_size: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.LeakyReLU(0.1, inplace=True))


def _block(in_channels: int, channels: int) -> nn.Sequential:
    wide = 2 * channels
    shapes = [(in_channels, channels, 1), (channels, wide, 3), (wide, channels, 1), (channels, wide, 3)]
    return nn.Sequential(*(_conv(*shape) for shape in [*shapes, (wide, channels, 1)]))


def _predictors(widths: Sequence[int], channels: int) -> nn.ModuleList:
    layers = nn.ModuleList(nn.Conv2d(2 * width, channels, 1) for width in widths)
    initialize(layers, 0.01)
    return layers


def yolov3(
    num_classes: int,
    *,
    in_channels: Sequence[int] = (256, 512, 1024),
    strides: Sequence[int] = (8, 16, 32),
    anchors: Sequence[Sequence[tuple[float, float]]] = COCO_ANCHORS,
    quality: NoQuality | None = None,
    ignore_iou: float = 0.7,
    box_loss: nn.Module | None = None,
    **options: Any,
) -> DenseDetector:
    """YOLOv3 behind DarkNet-53.

    The baseline's choices are `quality=Objectness()` and `ConstantScaling()`. The sampling-free form, the default, has
    no objectness: class scores train on every anchor (v1, Section 4). Its scale is v1's, whose table YOLOv3 is in: v2's
    learned scale would hold the scaled classification at 1, less than half of this box loss. The losses are sums over
    N_f in both; darknet's are sums over the batch, which only another learning rate tells apart.

    Args:
        num_classes: C.
        in_channels: of the backbone's feature maps, finest first.
        strides: of them.
        anchors: per level (width, height) in pixels; those of the paper for COCO at 416 px.
        quality: default `NoQuality()`.
        ignore_iou: see `ResponsibleAssigner`.
        box_loss: refused, but None: a box's place and size have a loss each.
        options: further ones of `DenseDetector`: the choices, `score_threshold`, `suppression`.

    Raises:
        UserError: a loss makes no sense here.
    """
    by = "cross-entropy of their places and squared errors of their sizes"
    check_dense_losses(options.get("classification_loss"), box_loss, "YOLOv3", boxes_by=by)
    quality = quality or NoQuality()
    options["scaling"] = options.get("scaling") or GuidedScaling()
    return DenseDetector(
        head=YoloHead(in_channels, num_classes, len(anchors[0]), quality.maps),
        anchors=AnchorGrid(strides, anchors),
        assigner=ResponsibleAssigner(ignore_iou),
        coding=YoloCoding(),
        box_loss=YoloLoss(),
        quality=quality,
        num_classes=num_classes,
        **{"suppression": Suppression(iou=0.45), "score_threshold": 0.005, **options},
    )
