"""YOLOv3: one anchor is responsible for a box. Letters: R anchors, M boxes, A anchors per cell."""

import torch
from torch import Tensor

from sampling_free.boxes import pairwise_iou
from sampling_free.detectors.anchors import Anchors
from sampling_free.detectors.assigners.protocol import IGNORED, nobody
from sampling_free.detectors.maps import Predicted

_PART = 4096  # anchors


class ResponsibleAssigner:
    """The anchor with the best shape, in the cell of the box's centre (YOLOv3, Section 2.1, and darknet's code).

    Of anchors with equal shapes the first is responsible; where one is responsible for several boxes it learns the last
    one, as in darknet. Other anchors whose predicted box has an IoU above `ignore_iou` with any box are ignored. v1
    does not say whether that rule stays when objectness is replaced by Sampling-Free: here it does, for it is part
    of the labelling, as RetinaNet's ignored anchors are, which the papers keep; `ignore_iou=1` drops it.

    Args:
        ignore_iou: darknet's `ignore_thresh`.
    """

    reads_predictions = False

    def __init__(self, ignore_iou: float = 0.7) -> None:
        self.ignore_iou = ignore_iou

    def __call__(self, anchors: Anchors, boxes: Tensor, classes: Tensor, predicted: Predicted | None = None) -> Tensor:
        """Matches `(R,)`; without predictions nothing is ignored."""
        matches = nobody(anchors)
        if not len(boxes):
            return matches
        if predicted is not None and self.ignore_iou < 1:
            matches[_close_to_any(predicted.boxes(), boxes, self.ignore_iou)] = IGNORED
        responsible = _responsible(anchors, boxes)
        last = torch.full_like(matches, -1).scatter_reduce(
            0, responsible, torch.arange(len(boxes), device=boxes.device), "amax"
        )
        return torch.where(last >= 0, last, matches)


def _responsible(anchors: Anchors, boxes: Tensor) -> Tensor:
    """Index `(M,)` of the anchor that is responsible for each box."""
    sizes, strides, starts = _shapes(anchors)
    wanted = boxes[:, 2:] - boxes[:, :2]
    common = torch.minimum(wanted[:, None], sizes).prod(dim=2)
    iou = common / (wanted.prod(dim=1)[:, None] + sizes.prod(dim=1) - common)
    best = iou == iou.amax(dim=1, keepdim=True)
    shape = torch.where(best, torch.arange(len(sizes), device=boxes.device), len(sizes)).amin(dim=1)
    stride = strides[shape][:, None]
    cells = torch.ceil(torch.tensor(anchors.extent, device=boxes.device) / stride)
    # a centre on the far border lies in the last cell
    column, row = torch.minimum(((boxes[:, :2] + boxes[:, 2:]) / 2 / stride).floor().clamp(min=0), cells - 1).unbind(1)
    place = (row * cells[:, 0] + column).long()
    return starts[shape] + place * anchors.per_place + shape % anchors.per_place


def _shapes(anchors: Anchors) -> tuple[Tensor, Tensor, Tensor]:
    """The L*A shapes `(L*A, 2)`, their strides `(L*A,)` and the first anchors of their levels `(L*A,)`."""
    ends = torch.tensor(anchors.counts, device=anchors.boxes.device).cumsum(0)
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    # the first cell of a level holds each of its shapes once
    index = (starts[:, None] + torch.arange(anchors.per_place, device=starts.device)).flatten()
    return anchors.sizes[index], anchors.strides[index], starts.repeat_interleave(anchors.per_place)


def _close_to_any(predicted: Tensor, boxes: Tensor, iou: float) -> Tensor:
    """Where `(R,)` a predicted box has an IoU above `iou` with any box."""
    # part by part: the matrices of all anchors at once would not stay in a processor's cache
    return torch.cat([pairwise_iou(boxes, part).amax(dim=0) for part in predicted.split(_PART)]) > iou
