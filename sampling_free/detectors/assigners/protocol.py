"""What assigners share: the call, and choices within groups. Letters: R anchors, M boxes, E entries."""

from typing import Protocol

import torch
from torch import Tensor

from sampling_free.detectors.anchors import Anchors
from sampling_free.detectors.maps import Predicted

BACKGROUND, IGNORED = -1, -2


class Assigner(Protocol):
    """What every assigner answers to.

    Attributes:
        reads_predictions: whether which anchors are foreground depends on the predictions.
    """

    reads_predictions: bool

    def __call__(self, anchors: Anchors, boxes: Tensor, classes: Tensor, predicted: Predicted | None) -> Tensor:
        """Matches `(R,)` for boxes `(M, 4)` of classes `(M,)`; see the package."""
        ...


def nobody(anchors: Anchors) -> Tensor:
    """Matches `(R,)` of an image without boxes: background everywhere."""
    return torch.full(anchors.strides.shape, BACKGROUND, dtype=torch.int64, device=anchors.strides.device)


def best_claim(anchor: Tensor, box: Tensor, merit: Tensor, matches: Tensor, num_boxes: int) -> Tensor:
    """Give each claimed anchor to the box with the highest merit, of equals to the first box.

    Args:
        anchor: `(E,)`, the anchor that is claimed.
        box: `(E,)`, the box that claims it.
        merit: `(E,)`.
        matches: `(R,)`, what unclaimed anchors keep.
        num_boxes: M.
    """
    highest = merit.new_full(matches.shape, -torch.inf).scatter_reduce(0, anchor, merit, "amax")
    winner = merit == highest[anchor]
    first = torch.full_like(matches, num_boxes).scatter_reduce(0, anchor[winner], box[winner], "amin")
    return torch.where(first < num_boxes, first, matches)
