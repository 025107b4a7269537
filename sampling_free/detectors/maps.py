"""A head's raw maps, read where somebody looks, and only there.

Letters: N images, L levels, A anchors per place, C classes, R anchors of an image, M examples looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sampling_free.detectors.anchors import Anchors
from sampling_free.detectors.codings import Coding
from sampling_free.heuristics.focal import rows_of_maps


@dataclass(frozen=True)
class Maps:
    """What a head makes of the features of N images, per level as the convolutions left it.

    Attributes:
        logits: of the classes, L maps `(N, A*C, H, W)`.
        boxes: L maps `(N, A*4, H, W)`.
        quality: logits of what the detector knows of its own boxes, L maps `(N, A, H, W)`; none where it knows nothing.
    """

    logits: list[Tensor]
    boxes: list[Tensor]
    quality: list[Tensor]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(Height, width) of each level."""
        return [(level.shape[-2], level.shape[-1]) for level in self.logits]

    def of_image(self, image: int) -> "Maps":
        """The maps of one image, still with a first dimension."""
        one = slice(image, image + 1)
        return Maps(*([level[one] for level in maps] for maps in (self.logits, self.boxes, self.quality)))

    def detached(self) -> "Maps":
        """The same without gradient."""
        return Maps(*([level.detach() for level in maps] for maps in (self.logits, self.boxes, self.quality)))


def rows_at(maps: Sequence[Tensor], image: Tensor, example: Tensor, width: int) -> Tensor:
    """Rows `(M, width)` of L raw maps `(N, A*width, H, W)`, without moving the rest.

    Args:
        maps: as a convolution left them.
        image: `(M,)` indices of images.
        example: `(M,)` indices of examples, in `(H, W, A)` order, level after level.
        width: numbers of an example.
    """
    rows, start = maps[0].new_zeros(len(example), width), 0
    for level in maps:
        num_anchors = level.shape[1] // width
        count = num_anchors * level.shape[2] * level.shape[3]
        if not count:
            continue
        # each level is asked for all examples, those of others at its first place: how many are its own nobody knows
        # without waiting for the device
        own = (example >= start) & (example < start + count)
        place = torch.where(own, example - start, 0)
        cell, anchor = place // num_anchors, place % num_anchors
        by_anchor = level.unflatten(1, (num_anchors, width))
        found = by_anchor[image, anchor, :, cell // level.shape[3], cell % level.shape[3]]
        rows = torch.where(own[:, None], found, rows)
        start += count
    return rows


class Predicted:
    """What a detector predicts for one image, for an assigner that wants to know; without gradient.

    Args:
        maps: of one image, with a first dimension of 1.
        anchors: of that image.
        coding: of its boxes.
        num_classes: C.
    """

    def __init__(self, maps: Maps, anchors: Anchors, coding: Coding, num_classes: int) -> None:
        self.maps = maps.detached()
        self.anchors = anchors
        self.coding = coding
        self.num_classes = num_classes

    def logits(self, example: Tensor) -> Tensor:
        """Class logits `(M, C)` of examples `(M,)`."""
        return rows_at(self.maps.logits, torch.zeros_like(example), example, self.num_classes).float()

    def boxes(self, example: Tensor | None = None) -> Tensor:
        """Decoded boxes `(M, 4)` of examples `(M,)`, or `(R, 4)` of all."""
        if example is None:
            return self.coding.decode(rows_of_maps(self.maps.boxes, 4)[0], self.anchors)
        raw = rows_at(self.maps.boxes, torch.zeros_like(example), example, 4)
        return self.coding.decode(raw, self.anchors.at(example))
