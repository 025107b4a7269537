"""FoveaBox: the middle of a box is foreground. Letters: R cells, M boxes."""

import torch
from torch import Tensor

from sampling_free.detectors.anchors import Anchors
from sampling_free.detectors.assigners.protocol import nobody
from sampling_free.detectors.maps import Predicted


class FoveaAssigner:
    """The object fovea (Kong et al., FoveaBox, Section III-B and III-C).

    A box belongs to the levels with sqrt(area) in [r, 4 r], r the base edge (the anchor's side): neighbouring
    ranges overlap, so that it may live on two. The first level takes smaller boxes too and the last one larger ones;
    the authors' code stops at 1 and 2048 px. Foreground are the cells whose centre lies in the box shrunk about its own
    centre. Where several boxes meet the smallest one wins, of equals the first. A box that covers no centre of a cell
    has no foreground.

    Args:
        shrink: sigma, the share of each side that is foreground.
        span: upper end of a level's range in base edges; the paper's eta squared.
    """

    reads_predictions = False

    def __init__(self, shrink: float = 0.4, span: float = 4.0) -> None:
        self.shrink = shrink
        self.span = span

    def __call__(self, anchors: Anchors, boxes: Tensor, classes: Tensor, predicted: Predicted | None = None) -> Tensor:
        """Matches `(R,)` from the boxes alone."""
        if not len(boxes):
            return nobody(anchors)
        boxes = boxes[(order := _by_area(boxes))]
        middles, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        low, high = middles - self.shrink / 2 * sizes, middles + self.shrink / 2 * sizes
        side = sizes.prod(dim=1).sqrt()
        # from the smallest box on, so that the first one to cover a cell is the one that wins
        rank = torch.arange(len(boxes), device=boxes.device, dtype=torch.int32)
        first, levels = [], zip(anchors.centers.split(anchors.counts), anchors.sizes.split(anchors.counts), strict=True)
        for level, (centers, edges) in enumerate(levels):
            x, y = centers[:, :1], centers[:, 1:]
            covered = (x >= low[:, 0]) & (x <= high[:, 0]) & (y >= low[:, 1]) & (y <= high[:, 1])
            at_least = side >= edges[:1, 0] if level else torch.ones_like(side, dtype=torch.bool)
            at_most = side <= self.span * edges[:1, 0] if level < len(anchors.counts) - 1 else torch.ones_like(at_least)
            covered &= at_least & at_most
            first.append(torch.where(covered, rank, len(boxes)).amin(dim=1))
        winner = torch.cat(first).long()
        return torch.where(winner < len(boxes), order[winner.clamp(max=len(boxes) - 1)], nobody(anchors))


def _by_area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).argsort(stable=True)
