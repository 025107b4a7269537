"""How rare is the foreground, level by level and class by class? Label assignment alone; no image is read.

Letters: L levels, C classes, R examples of an image.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from sampling_free.torchvision.foreground import _Assignment, _num_classes, counted_head

Shape = tuple[int, int, Tensor, Tensor]  # height, width, boxes `(M, 4)` XYXY and labels `(M,)` from 1 on


def count_by_level(model: Any, images: Iterable[Shape]) -> tuple[Tensor, Tensor]:
    """Count foreground and all labelled examples of a sampling-free model.

    Args:
        model: what `make_sampling_free` or a dense builder returned.
        images: their sizes and boxes.

    Returns:
        Foreground `(L, C)` and examples `(L,)`, int64. C is that of the classifier: torchvision counts the background,
        its column 0, which no box has; a region proposal network has one column.
    """
    assignment, num_classes = _Assignment(model), _num_classes(model, counted_head(model))
    foreground: Tensor | None = None
    examples: Tensor | None = None
    for height, width, boxes, labels in images:
        target = {"boxes": boxes, "labels": labels}
        found = assignment(torch.empty(3, height, width, device="meta"), target)
        places = torch.tensor([rows * columns for rows, columns in assignment.latest])
        levels = torch.arange(len(places)).repeat_interleave(places * (len(found) // int(places.sum())))
        if foreground is None or examples is None:
            foreground = torch.zeros(len(places), num_classes, dtype=torch.int64)
            examples = torch.zeros(len(places), dtype=torch.int64)
        examples += torch.bincount(levels[found >= 0], minlength=len(places))
        positive = (found >= 0) & (found < num_classes)
        cells = levels[positive] * num_classes + found[positive]
        foreground += torch.bincount(cells, minlength=foreground.numel()).reshape(foreground.shape)
    if foreground is None or examples is None:
        raise ValueError("there is no image to count in")
    return foreground, examples
