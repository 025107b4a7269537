"""How a head's four numbers mean a box: three codings, each with its inverse. Letters: M boxes.

A coding is an object with `encode(boxes, anchors)` and `decode(raw, anchors)`, both `(M, 4)` to `(M, 4)`, boxes XYXY in
pixels, one anchor a box.
"""

import math
from typing import Protocol

import torch
from torch import Tensor

from sampling_free.detectors.anchors import Anchors

_MAX_LOG_RATIO = math.log(1000 / 16)  # no box is decoded larger than this many anchors; as in Fast R-CNN's code


class Coding(Protocol):
    """The interface of every coding."""

    def encode(self, boxes: Tensor, anchors: Anchors) -> Tensor:
        """The targets that a head learns for these boxes."""
        ...

    def decode(self, raw: Tensor, anchors: Anchors) -> Tensor:
        """The boxes that the head's output `raw` stands for."""
        ...


class DeltaCoding:
    """Shift of the centre in anchor sizes, logarithm of the ratio of sizes (R-CNN, Appendix C).

    Args:
        weights: what the four numbers are multiplied by; ATSS and PAA take (10, 10, 5, 5).
    """

    def __init__(self, weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)) -> None:
        self.weights = tuple(weights)

    def encode(self, boxes: Tensor, anchors: Anchors) -> Tensor:
        """See the class."""
        center, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        raw = torch.cat([(center - anchors.centers) / anchors.sizes, torch.log(size / anchors.sizes)], dim=1)
        return raw * raw.new_tensor(self.weights)

    def decode(self, raw: Tensor, anchors: Anchors) -> Tensor:
        """See the class; float32, whatever `raw` is."""
        shift, log_ratio = (raw.float() / raw.new_tensor(self.weights, dtype=torch.float32)).split(2, dim=1)
        center = anchors.centers + shift * anchors.sizes
        half = anchors.sizes * log_ratio.clamp(max=_MAX_LOG_RATIO).exp() / 2
        return torch.cat([center - half, center + half], dim=1)


class FoveaCoding:
    """Logarithm of the distances from the centre of the cell to the four sides, in base edges (FoveaBox, Eq. 4).

    The base edge is the anchor's side. A distance is clipped to [1/16, 16] base edges when it is encoded, as in the
    authors' code.
    """

    limit = 16.0

    def encode(self, boxes: Tensor, anchors: Anchors) -> Tensor:
        """See the class: left, top, right, bottom."""
        centers, edges = anchors.centers, anchors.sizes
        ratios = torch.cat([(centers - boxes[:, :2]) / edges, (boxes[:, 2:] - centers) / edges], dim=1)
        return ratios.clamp(1 / self.limit, self.limit).log()

    def decode(self, raw: Tensor, anchors: Anchors) -> Tensor:
        """See the class; float32, whatever `raw` is."""
        left_top, right_bottom = raw.float().clamp(max=_MAX_LOG_RATIO).exp().split(2, dim=1)
        edges = anchors.sizes
        return torch.cat([anchors.centers - left_top * edges, anchors.centers + right_bottom * edges], dim=1)


class YoloCoding:
    """Sigmoid places the centre within its cell, exponential scales the anchor (YOLOv2, Section 2; YOLOv3, Fig. 2).

    The first two numbers of `encode` are the logits of the place, so that `decode` inverts it; a centre on the
    very edge of its cell is taken `margin` cells inside.
    """

    margin = 1e-6

    def cell_and_ratio(self, boxes: Tensor, anchors: Anchors) -> tuple[Tensor, Tensor]:
        """Place of the centre in its cell `(M, 2)` in [0, 1], and logarithm of the ratio of sizes `(M, 2)`."""
        strides = anchors.strides[:, None]
        center, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        return (center - anchors.centers) / strides + 0.5, torch.log(size / anchors.sizes)

    def encode(self, boxes: Tensor, anchors: Anchors) -> Tensor:
        """See the class."""
        place, log_ratio = self.cell_and_ratio(boxes, anchors)
        return torch.cat([torch.logit(place, eps=self.margin), log_ratio], dim=1)

    def decode(self, raw: Tensor, anchors: Anchors) -> Tensor:
        """See the class; float32, whatever `raw` is."""
        place, log_ratio = raw.float().split(2, dim=1)
        center = anchors.centers + (place.sigmoid() - 0.5) * anchors.strides[:, None]
        half = anchors.sizes * log_ratio.clamp(max=_MAX_LOG_RATIO).exp() / 2
        return torch.cat([center - half, center + half], dim=1)
