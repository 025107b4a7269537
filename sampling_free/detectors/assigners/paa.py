"""PAA: a mixture of two Gaussians says which candidates are good.

Letters: R anchors, M boxes, E candidates, C classes.
"""

from typing import Protocol

import torch
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from sampling_free.boxes import pairwise_iou
from sampling_free.detectors.anchors import Anchors
from sampling_free.detectors.assigners.protocol import nobody
from sampling_free.detectors.maps import Predicted
from sampling_free.detectors.mixture import fit_mixture
from sampling_free.heuristics.ranks import ranks_within


class ClassificationCost(Protocol):
    """What scores anchors: a classification loss that can say the loss of each example."""

    def each(self, logits: Tensor, labels: Tensor, num_classes: int) -> Tensor:
        """Losses `(M,)` of rows `(M, C)` with labels `(M,)`."""
        ...


class RankingCost(Protocol):
    """A rule that ranks candidates: it turns their two losses, `(E,)` each, into costs `(E,)`."""

    def __call__(self, classification: Tensor, localization: Tensor) -> Tensor:
        """Costs of an image's candidates."""
        ...


class SummedCost:
    """The sum of both losses, as they are: PAA's own, for Focal Loss (the paper's Eq. 1 and 2, lambda 1)."""

    def __call__(self, classification: Tensor, localization: Tensor) -> Tensor:
        """Costs `(E,)`."""
        return classification + localization


class BalancedCost:
    """The sum of both losses, classification rescaled so that both have one sum over the candidates of an image.

    Plain cross-entropy is several times 1 - GIoU, so that alone it would choose the foreground. The authors' released
    code of Sampling-Free rescales it; v2 does not say so. That code takes the sums over all anchors.
    """

    def __call__(self, classification: Tensor, localization: Tensor) -> Tensor:
        """Costs `(E,)`."""
        total = classification.sum().clamp(min=torch.finfo(classification.dtype).tiny)
        return classification * (localization.sum() / total) + localization


class ProbabilisticAssigner:
    """Probabilistic anchor assignment (Kim and Lee, ECCV 2020, Section 3 and Algorithm 1).

    Candidates of a box are the anchors that overlap it best and by `candidate_iou` at least, and the anchors that
    overlap it most of all; of each level the `topk` with the lowest cost stay. The cost joins the detector's own
    classification loss, summed over the classes, with 1 - GIoU. A mixture of two Gaussians is fitted to the costs of
    a box's candidates: foreground are those, in order of cost, up to the likeliest of the cheaper component; where
    that component has none, all are; a single candidate is foreground. The rest is background, nothing is ignored.

    Which candidates become foreground depends on the predictions, so foreground cannot be counted before training.
    Without predictions all candidates that stay count (of a level those with the highest IoU): an upper bound, two or
    three times what training then finds, which is where the prior of PAA comes from. The score threshold follows what
    training finds.

    Args:
        classification: the detector's own classification loss.
        topk: candidates per level; the paper's K, 9.
        candidate_iou: the least overlap of a candidate.
        ranking: how both losses make the cost; default `SummedCost()`.
    """

    reads_predictions = True

    def __init__(
        self,
        classification: ClassificationCost,
        topk: int = 9,
        candidate_iou: float = 0.1,
        ranking: RankingCost | None = None,
    ) -> None:
        self.classification = classification
        self.ranking = ranking or SummedCost()
        self.topk = topk
        self.candidate_iou = candidate_iou

    def __call__(self, anchors: Anchors, boxes: Tensor, classes: Tensor, predicted: Predicted | None = None) -> Tensor:
        """Matches `(R,)`."""
        matches = nobody(anchors)
        if not len(boxes):
            return matches
        anchor, box, iou = self.candidates(anchors, boxes)
        cost = -iou if predicted is None else self.cost(anchor, boxes[box], classes[box], predicted)
        kept = ranks_within(-cost, box * len(anchors.counts) + anchors.levels[anchor]) < self.topk
        anchor, box, cost = anchor[kept], box[kept], cost[kept]
        if predicted is not None:
            good = cheaper(cost, box, len(boxes), self.topk * len(anchors.counts))
            anchor, box = anchor[good], box[good]
        matches[anchor] = box
        return matches

    def candidates(self, anchors: Anchors, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All candidates as (anchor, box, IoU), `(E,)` each; an anchor is that of one box."""
        overlaps = pairwise_iou(boxes, anchors.boxes)
        iou, box = overlaps.max(dim=0)
        most = overlaps.amax(dim=1, keepdim=True)
        # as in the authors' code an anchor that a box needs most stays with the box that it overlaps best
        needed = ((overlaps == most) & (most > 0)).any(dim=0)
        anchor = torch.where((iou >= self.candidate_iou) | needed)[0]
        return anchor, box[anchor], iou[anchor]

    def cost(self, anchor: Tensor, boxes: Tensor, classes: Tensor, predicted: Predicted) -> Tensor:
        """Cost `(E,)` of candidates for their boxes `(E, 4)` of classes `(E,)`."""
        classification = self.classification.each(predicted.logits(anchor), classes, predicted.num_classes)
        return self.ranking(classification, generalized_box_iou_loss(predicted.boxes(anchor), boxes))


def cheaper(cost: Tensor, box: Tensor, num_boxes: int, most: int) -> Tensor:
    """Which candidates `(E,)` the mixtures say are foreground.

    Args:
        cost: `(E,)`.
        box: `(E,)`, the box of each; a box may have none.
        num_boxes: M.
        most: no box has more candidates.
    """
    places = torch.arange(most, device=cost.device)
    rank = ranks_within(-cost, box)
    table = cost.new_zeros(num_boxes, most, dtype=torch.float64)
    table[box, rank] = cost.double()
    count = torch.zeros(num_boxes, dtype=torch.int64, device=cost.device).scatter_add_(0, box, torch.ones_like(box))
    valid = places < count[:, None]
    joint = fit_mixture(table, valid).log_joint(table)
    member = valid & (joint[..., 0] >= joint[..., 1])
    likelihood = torch.where(member, joint.logsumexp(dim=2), -torch.inf)
    likeliest = likelihood == likelihood.amax(dim=1, keepdim=True)
    last = torch.where(likeliest & member, places, most).amin(dim=1)  # none: beyond the end, so all
    return rank <= last[box]
