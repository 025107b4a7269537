"""ATSS: each box sets its own IoU threshold. Letters: R anchors, M boxes, E candidates (anchor, box)."""

import torch
from torch import Tensor

from sampling_free.boxes import paired_iou
from sampling_free.detectors.anchors import Anchors
from sampling_free.detectors.assigners.protocol import best_claim, nobody
from sampling_free.detectors.maps import Predicted
from sampling_free.heuristics.ranks import ranks_within

_INSIDE = 0.01  # pixels that an anchor's centre must lie within its box; as in the authors' code


class AdaptiveAssigner:
    """Adaptive training sample selection (Zhang et al., CVPR 2020, Algorithm 1).

    Candidates of a box are the `topk` anchors of each level whose centres are nearest to its own; those with an IoU
    of at least mean + standard deviation over the candidates, and with their centre inside the box, are foreground. An
    anchor that several boxes claim goes to the one with the highest IoU. Of anchors equally near, and of boxes equally
    good, the first is taken; a level with fewer than `topk` anchors gives all it has.

    Args:
        topk: candidates per level; the paper's k, 9.
    """

    reads_predictions = False

    def __init__(self, topk: int = 9) -> None:
        self.topk = topk

    def __call__(self, anchors: Anchors, boxes: Tensor, classes: Tensor, predicted: Predicted | None = None) -> Tensor:
        """Matches `(R,)` from the boxes alone."""
        matches = nobody(anchors)
        if not len(boxes):
            return matches
        anchor, box = self.candidates(anchors, boxes)
        iou = paired_iou(anchors.boxes[anchor], boxes[box])
        good = (iou >= _threshold(iou, box, len(boxes))[box]) & _inside(anchors.centers[anchor], boxes[box])
        return best_claim(anchor[good], box[good], iou[good], matches, len(boxes))

    def candidates(self, anchors: Anchors, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Candidates of all boxes as index tensors (anchor `(E,)`, box `(E,)`)."""
        found, start = [], 0
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        for centers in anchors.centers.split(anchors.counts):
            distance = (centers[:, 0] - middles[:, :1]).square_() + (centers[:, 1] - middles[:, 1:]).square_()
            k = min(self.topk, len(centers))
            if k:
                limit = distance.topk(k, dim=1, largest=False).values[:, -1:]
                box, anchor = (distance <= limit).nonzero(as_tuple=True)
                kept = ranks_within(-distance[box, anchor], box) < k  # anchors as near as the last one may be more
                found.append((anchor[kept] + start, box[kept]))
            start += len(centers)
        anchor, box = zip(*found, strict=True)
        return torch.cat(anchor), torch.cat(box)


def _threshold(iou: Tensor, box: Tensor, num_boxes: int) -> Tensor:
    """Mean + standard deviation (of a sample, n - 1) of each box's candidates, `(M,)`."""
    zeros = iou.new_zeros(num_boxes, dtype=torch.float64)
    values = iou.double()
    count = torch.bincount(box, minlength=num_boxes)
    mean = zeros.index_add(0, box, values) / count
    variance = zeros.index_add(0, box, (values - mean[box]) ** 2) / (count - 1).clamp(min=1)
    return mean + variance.sqrt()


def _inside(centers: Tensor, boxes: Tensor) -> Tensor:
    return torch.cat([centers - boxes[:, :2], boxes[:, 2:] - centers], dim=1).amin(dim=1) > _INSIDE
