"""Importance-based sample reweighting (Cao et al., "Prime Sample Attention"). Letters: R proposals of an image."""

import torch
from torch import Tensor

from sampling_free.boxes import suppressed_by
from sampling_free.heuristics.ranks import ranks, ranks_within
from sampling_free.heuristics.sampling import HardSampling, at_random, required
from sampling_free.mechanism import Evidence


class ISR(HardSampling):
    """Proposals that matter most for AP train with the largest weights: those of the best boxes and highest scores.

    PISA without its classification-aware regression loss (CARL), as v2 Table VII. Positives are drawn at random and
    weighted by their rank in IoU after regression (ISR-P, `positive_weights`); negatives are ranked by score in groups
    of overlapping boxes, the first of them are drawn and weighted (ISR-N, `draw_weighted`). In both the weight of rank
    r of U is `(beta + (1 - beta) (U - r) / U) ^ k`, rescaled so that the loss of those weighted keeps its sum.

    As in the public code, groups of negatives ignore the class, and what scores below `score_threshold` is drawn at
    random where better ones are too few. Unlike there, two images' objects are never taken for one.

    Args:
        batch_size: see `HardSampling`.
        positive_fraction: see `HardSampling`.
        k_positive: exponent of positives.
        beta_positive: least share of positives' weight.
        k_negative: exponent of negatives.
        beta_negative: least share of negatives' weight.
        score_threshold: the highest foreground probability from which a negative is ranked.
        iou_threshold: above which negatives belong together.
    """

    heads = ("roi", "cascade")

    def __init__(
        self,
        batch_size: int = 512,
        positive_fraction: float = 0.25,
        k_positive: float = 2.0,
        beta_positive: float = 0.0,
        k_negative: float = 0.5,
        beta_negative: float = 0.0,
        score_threshold: float = 0.05,
        iou_threshold: float = 0.5,
    ) -> None:
        super().__init__(batch_size, positive_fraction)
        if min(k_positive, k_negative) < 0 or not all(0 <= beta <= 1 for beta in (beta_positive, beta_negative)):
            raise ValueError(
                f"ISR needs exponents of at least 0 and shares in [0, 1], not k {k_positive} and {k_negative}, "
                f"beta {beta_positive} and {beta_negative}"
            )
        self.k_positive = k_positive
        self.beta_positive = beta_positive
        self.k_negative = k_negative
        self.beta_negative = beta_negative
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold

    def draw(self, labels: Tensor, num_classes: int, evidence: Evidence | None = None) -> Tensor:
        """Indices of the drawn examples: foreground at random, background by importance, from the first down."""
        return self.draw_weighted(labels, num_classes, evidence)[0]

    def draw_weighted(
        self, labels: Tensor, num_classes: int, evidence: Evidence | None = None
    ) -> tuple[Tensor, Tensor]:
        """Indices `(K,)` as of `draw`, and their weights `(K,)`: ISR-N's for the negatives, 1 for positives."""
        foreground, num_foreground, background, num_background = self.candidates(labels, num_classes)
        positives = at_random(foreground, num_foreground)
        negatives, weights = self._negatives(background, num_background, required(evidence, self))
        ones = torch.ones(num_foreground, device=labels.device)
        return torch.cat([positives, negatives]), torch.cat([ones, weights])

    def positive_weights(
        self, labels: Tensor, num_classes: int, instances: Tensor, ious: Tensor, losses: Tensor
    ) -> Tensor:
        """ISR-P for the M proposals of a mini-batch: weights `(M,)`, float32, 1 for negatives.

        Inside each object the proposals are ranked by the IoU of their regressed boxes; first come the best of every
        object of a class, by IoU, then the second best, and so on.

        Args:
            labels: `(M,)`, in `[0, C]`.
            num_classes: C.
            instances: `(M,)`, integers that tell objects apart, also those of different images.
            ious: `(M,)`, of the regressed box with its object.
            losses: `(M,)`, classification losses.
        """
        weights = torch.ones_like(losses, dtype=torch.float32)
        positive = labels < num_classes
        if not positive.any():
            return weights
        labels, instances, ious, losses = (of_all[positive] for of_all in (labels, instances, ious, losses))
        most = labels.bincount().max()
        rank = ranks_within(ious + (most - ranks_within(ious, instances)), labels)
        shares = (most - rank) / most
        weights[positive] = self._rescaled(shares, losses, self.beta_positive, self.k_positive)
        return weights

    def _negatives(self, candidates: Tensor, number: int, evidence: Evidence) -> tuple[Tensor, Tensor]:
        predictions = evidence.predictions
        if predictions.scores is None or predictions.boxes is None:
            raise ValueError("ISR ranks negatives by class scores and regressed boxes, which only an RoI head has")
        scores, boxes = predictions.scores[candidates], predictions.boxes[candidates]
        ranked = scores > self.score_threshold
        others = at_random(candidates[~ranked], max(0, number - int(ranked.sum())))
        candidates, scores, boxes = candidates[ranked], scores[ranked], boxes[ranked]
        in_group = ranks_within(scores, suppressed_by(boxes, scores, self.iou_threshold))
        rank = ranks(len(scores) - in_group + scores)
        order = rank.argsort()[:number]
        drawn = torch.cat([candidates[order], others])
        highest = max(number, len(candidates))
        shares = (highest - rank[order]) / highest
        if not len(shares):
            return drawn, torch.ones(len(drawn), device=drawn.device)
        shares = torch.cat([shares, shares.min().expand(len(others))])
        return drawn, self._rescaled(shares, predictions.losses[drawn], self.beta_negative, self.k_negative)

    @staticmethod
    def _rescaled(shares: Tensor, losses: Tensor, beta: float, k: float) -> Tensor:
        """Weights of importances in (0, 1], such that the sum of the weighted losses is that of the losses."""
        weights, losses = ((beta + (1 - beta) * shares.double()) ** k), losses.double()
        weighted = (weights * losses).sum()
        return torch.where(weighted > 0, weights * (losses.sum() / weighted), weights).float()
