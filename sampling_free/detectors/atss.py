"""ATSS (Zhang et al., "Bridging the Gap Between Anchor-based and Anchor-free Detection", CVPR 2020)."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from sampling_free.detectors.anchors import AnchorGrid
from sampling_free.detectors.assigners import AdaptiveAssigner
from sampling_free.detectors.box_losses import GIoULoss
from sampling_free.detectors.codings import DeltaCoding
from sampling_free.detectors.dense import DenseDetector
from sampling_free.detectors.heads import Layer, TowerHead
from sampling_free.detectors.quality import Centerness
from sampling_free.detectors.suppression import Suppression
from sampling_free.heuristics.applicable import check_dense_losses
from sampling_free.mechanism import LossScaling, PerForeground


def atss(
    num_classes: int,
    *,
    channels: int = 256,
    strides: Sequence[int] = (8, 16, 32, 64, 128),
    anchor_scale: float = 8.0,
    topk: int = 9,
    last_conv: Layer = nn.Conv2d,
    classification_loss: nn.Module | None = None,
    box_loss: nn.Module | None = None,
    normalizer: PerForeground | None = None,
    scaling: LossScaling | None = None,
    **options: Any,
) -> DenseDetector:
    """ATSS behind a pyramid: FCOS's head with GroupNorm, one square anchor a place.

    The baseline's choices are `FocalLoss()` and `ConstantScaling()`; the defaults are sampling-free.

    Args:
        num_classes: C.
        channels: of the pyramid.
        strides: of its levels.
        anchor_scale: side of an anchor in strides.
        topk: candidates of a box per level.
        last_conv: of the towers; `DeformableConv` for the DCN models of v2 Table VIII.
        classification_loss: default `SigmoidCrossEntropy()`.
        box_loss: refused, but None: boxes are trained by GIoU.
        normalizer: default `PerForeground(2)`, the authors' weight of the box loss.
        scaling: default `LearnedScaling()`.
        options: further ones of `DenseDetector`.

    Raises:
        UserError: a loss makes no sense here.
    """
    check_dense_losses(classification_loss, box_loss, "ATSS", boxes_by="IoU")
    quality = Centerness()
    return DenseDetector(
        head=TowerHead(channels, num_classes, len(strides), quality_maps=quality.maps, last_conv=last_conv),
        anchors=AnchorGrid.squares(strides, anchor_scale),
        assigner=AdaptiveAssigner(topk),
        coding=DeltaCoding(),
        box_loss=GIoULoss(),
        quality=quality,
        num_classes=num_classes,
        classification_loss=classification_loss,
        normalizer=normalizer or PerForeground(localization_weight=2.0),
        scaling=scaling,
        **{"suppression": Suppression(iou=0.6), **options},
    )
