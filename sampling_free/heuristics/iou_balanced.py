"""IoU-balanced sampling: hard negatives, without asking the network which they are."""

import torch
from torch import Tensor

from sampling_free.heuristics.ranks import ranks_within
from sampling_free.heuristics.sampling import HardSampling, at_random, required
from sampling_free.mechanism import Evidence


class IoUBalancedSampling(HardSampling):
    """Background drawn in equal parts from bins of its IoU with the ground truth (Pang et al., "Libra R-CNN").

    The bins are the paper's: equal parts of `iou_range`. The public code instead divides the range from -1 to the
    highest IoU of all proposals, which is 1 with ground-truth boxes among them, so that its first bin is always empty
    and a third of the draw is not balanced at all. As in both, each bin gives `number // num_bins` at random, or all
    that it has, and what is then missing is drawn at random from all that is left.

    Args:
        batch_size: see `HardSampling`.
        positive_fraction: see `HardSampling`.
        num_bins: K.
        iou_range: of the background: from 0 to the threshold of foreground, 0.5 in RoI heads. What lies outside counts
            to the first or last bin.
        balance_instances: also draw the foreground in equal numbers per ground-truth box, as far as there is any;
            the paper's companion. v2 Table VII has it off.
    """

    def __init__(
        self,
        batch_size: int = 512,
        positive_fraction: float = 0.25,
        num_bins: int = 3,
        iou_range: tuple[float, float] = (0.0, 0.5),
        *,
        balance_instances: bool = False,
    ) -> None:
        super().__init__(batch_size, positive_fraction)
        low, high = iou_range
        if num_bins < 1 or not 0 <= low < high <= 1:
            raise ValueError(
                f"IoUBalancedSampling needs at least 1 bin and an increasing IoU range in [0, 1], "
                f"not {num_bins} and {tuple(iou_range)}"
            )
        self.num_bins = num_bins
        self.iou_range = (low, high)
        self.balance_instances = balance_instances

    def foreground(self, candidates: Tensor, number: int, evidence: Evidence | None) -> Tensor:
        """At random, or one of each instance after the other."""
        if not self.balance_instances or number == len(candidates):
            return at_random(candidates, number)
        candidates = at_random(candidates, len(candidates))
        places = torch.arange(len(candidates), device=candidates.device)
        turns = ranks_within(-places, required(evidence, self).instances[candidates])
        return candidates[turns.argsort(stable=True)[:number]]

    def background(self, candidates: Tensor, number: int, evidence: Evidence | None) -> Tensor:
        """An equal part of each bin, the rest at random."""
        if number == len(candidates):
            return at_random(candidates, number)
        candidates = at_random(candidates, len(candidates))
        low, high = self.iou_range
        ious = required(evidence, self).ious[candidates]
        bins = ((ious - low) / (high - low) * self.num_bins).long().clamp(0, self.num_bins - 1)
        # the candidates are in random order, so that the first of a bin are as good as any
        share = number // self.num_bins
        balanced = torch.cat([torch.where(bins == place)[0][:share] for place in range(self.num_bins)])
        left = torch.ones_like(candidates, dtype=torch.bool)
        left[balanced] = False
        # drawn anew: the order above favours large bins among what is left
        return torch.cat([candidates[balanced], at_random(candidates[left], number - len(balanced))])
