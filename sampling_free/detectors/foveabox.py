"""FoveaBox (Kong et al., "FoveaBox: Beyond Anchor-Based Object Detection", IEEE TIP 2020)."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from sampling_free.detectors.anchors import AnchorGrid
from sampling_free.detectors.assigners import FoveaAssigner
from sampling_free.detectors.box_losses import CodedLoss, SmoothL1Loss
from sampling_free.detectors.codings import FoveaCoding
from sampling_free.detectors.dense import DenseDetector
from sampling_free.detectors.heads import Layer, TowerHead
from sampling_free.detectors.quality import NoQuality
from sampling_free.detectors.suppression import Suppression
from sampling_free.heuristics.applicable import check_dense_losses


def foveabox(
    num_classes: int,
    *,
    channels: int = 256,
    strides: Sequence[int] = (8, 16, 32, 64, 128),
    edge_scale: float = 2.0,
    shrink: float = 0.4,
    norm: Layer | None = None,
    spread: float | None = 0.01,
    box_loss: nn.Module | None = None,
    **options: Any,
) -> DenseDetector:
    """FoveaBox behind a pyramid: plain towers, no quality; cells in the middle of a box predict its sides.

    The baseline's choices are `FocalLoss(alpha=0.4, gamma=1.5)` and `ConstantScaling()`, as in the authors' code, which
    divides the classification loss by N_f + the number of images: here as everywhere by N_f. The variants with aligned
    features and with centre sampling are not built; v1 does not name one.

    Args:
        num_classes: C.
        channels: of the pyramid.
        strides: of its levels.
        edge_scale: base edge in strides; 16 px at stride 8.
        shrink: sigma, the share of a box's sides that is foreground.
        norm: layer behind the towers' convolutions; None as in the paper.
        spread: of the towers' initial weights; see `TowerHead`.
        box_loss: of the coded boxes, an average by itself: `GHMR()`, which its public code weighs ten-fold
            (`normalizer=PerForeground(localization_weight=10)`); default smooth L1.
        options: further ones of `DenseDetector`: the choices, `score_threshold`, `suppression`.

    Raises:
        UserError: a loss makes no sense here.
    """
    check_dense_losses(options.get("classification_loss"), box_loss, "FoveaBox")
    quality = NoQuality()
    return DenseDetector(
        head=TowerHead(
            channels,
            num_classes,
            len(strides),
            quality_maps=quality.maps,
            norm=norm,
            level_scale=nn.Identity,
            spread=spread,
        ),
        anchors=AnchorGrid.squares(strides, edge_scale),
        assigner=FoveaAssigner(shrink),
        coding=FoveaCoding(),
        box_loss=SmoothL1Loss(beta=0.11) if box_loss is None else CodedLoss(box_loss),
        quality=quality,
        num_classes=num_classes,
        **{"suppression": Suppression(iou=0.5), **options},
    )
