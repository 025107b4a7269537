"""PAA (Kim and Lee, "Probabilistic Anchor Assignment with IoU Prediction for Object Detection", ECCV 2020)."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from sampling_free.detectors.anchors import AnchorGrid
from sampling_free.detectors.assigners import BalancedCost, ProbabilisticAssigner, RankingCost, SummedCost
from sampling_free.detectors.box_losses import GIoULoss
from sampling_free.detectors.codings import DeltaCoding
from sampling_free.detectors.dense import DenseDetector
from sampling_free.detectors.heads import Layer, TowerHead
from sampling_free.detectors.quality import PredictedIoU
from sampling_free.detectors.suppression import ScoreVoting
from sampling_free.errors import UserError
from sampling_free.heuristics import FocalLoss
from sampling_free.heuristics.applicable import check_dense_losses
from sampling_free.mechanism import LossScaling, PerForeground, SigmoidCrossEntropy


def paa(
    num_classes: int,
    *,
    channels: int = 256,
    strides: Sequence[int] = (8, 16, 32, 64, 128),
    anchor_scale: float = 8.0,
    topk: int = 9,
    ranking: RankingCost | None = None,
    last_conv: Layer = nn.Conv2d,
    classification_loss: nn.Module | None = None,
    box_loss: nn.Module | None = None,
    normalizer: PerForeground | None = None,
    scaling: LossScaling | None = None,
    **options: Any,
) -> DenseDetector:
    """PAA behind a pyramid: ATSS's head with IoU prediction instead of centerness, and score voting.

    The detector's own classification loss scores the candidates, cross-entropy in the sampling-free form, as in the
    released code. Foreground depends on the predictions, so the prior is counted at the candidate stage: see
    `ProbabilisticAssigner`. The baseline's choices are `FocalLoss()` and `ConstantScaling()`.

    Args:
        num_classes: C.
        channels: of the pyramid.
        strides: of its levels.
        anchor_scale: side of an anchor in strides.
        topk: candidates of a box per level.
        ranking: how classification and box losses rank candidates; default `SummedCost()`, PAA's own, for Focal Loss,
            and `BalancedCost()` for every other loss.
        last_conv: of the towers; `DeformableConv` for the DCN models of v2 Table VIII.
        classification_loss: default `SigmoidCrossEntropy()`; it must give the loss of `each` example. `GHMC` cannot: it
            weighs an example by the density of gradients in the whole mini-batch, so that no example has a loss alone.
        box_loss: refused, but None: boxes are trained by GIoU.
        normalizer: default `PerForeground(1.3)`, the authors' weight of the box loss.
        scaling: default `LearnedScaling()`.
        options: further ones of `DenseDetector`.

    Raises:
        UserError: the classification loss cannot say the loss of each example, or a box loss is given.
    """
    loss: Any = classification_loss or SigmoidCrossEntropy()
    if not hasattr(loss, "each"):  # first: the check of every dense detector recommends GHMC
        raise UserError(
            f"PAA scores anchors by its classification loss, and {type(loss).__name__} does not give the loss of each "
            f"example; take SigmoidCrossEntropy or FocalLoss"
        )
    check_dense_losses(loss, box_loss, "PAA", boxes_by="IoU")
    default: RankingCost = SummedCost() if isinstance(loss, FocalLoss) else BalancedCost()
    quality = PredictedIoU()
    return DenseDetector(
        head=TowerHead(channels, num_classes, len(strides), quality_maps=quality.maps, last_conv=last_conv),
        anchors=AnchorGrid.squares(strides, anchor_scale),
        assigner=ProbabilisticAssigner(loss, topk, ranking=ranking or default),
        coding=DeltaCoding(),
        box_loss=GIoULoss(),
        quality=quality,
        num_classes=num_classes,
        classification_loss=loss,
        normalizer=normalizer or PerForeground(localization_weight=1.3),
        scaling=scaling,
        **{"suppression": ScoreVoting(iou=0.6), **options},
    )
