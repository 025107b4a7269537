"""Online hard example mining: the examples that are learned worst train."""

from torch import Tensor

from sampling_free.heuristics.sampling import HardSampling, required
from sampling_free.mechanism import Evidence


class OnlineHardExamples(HardSampling):
    """The examples of the highest classification loss, foreground and background apart (Shrivastava et al., "OHEM").

    As in the papers' comparison (v2 Table VII, made with mmdetection): numbers as in biased sampling, with "at random"
    replaced by "of the highest loss", ranked by a forward pass of the head over all candidates without gradient. OHEM's
    own paper ranks the sum of both losses, in one pool without foreground share, after non-maximum suppression. Of
    equal losses the first trains.

    Arguments: see `HardSampling`.
    """

    def __init__(self, batch_size: int = 512, positive_fraction: float = 0.25) -> None:
        super().__init__(batch_size, positive_fraction)

    def foreground(self, candidates: Tensor, number: int, evidence: Evidence | None) -> Tensor:
        """The hardest, from the hardest down."""
        losses = required(evidence, self).predictions.losses[candidates]
        return candidates[losses.argsort(descending=True, stable=True)[:number]]

    background = foreground
