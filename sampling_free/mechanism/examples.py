"""Which examples train? All of them. Letters: R examples of an image, C classes.

A choice of examples is a function from the labels of one image to labels of the same shape, in which what does not
train is ignored (`-1`). `AllExamples` is the papers' choice and the identity; `sampling_free.heuristics` has the rest,
some of which look at more than labels: the `Evidence`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@dataclass(frozen=True)
class Predictions:
    """What the head in training says of an image's examples; no gradients.

    Attributes:
        losses: `(R,)`, float, the classification loss of each.
        scores: `(R,)`, the highest foreground probability of each; of an RoI head alone.
        boxes: `(R, 4)`, XYXY in pixels, as that head regresses each to that class.
    """

    losses: Tensor
    scores: Tensor | None = None
    boxes: Tensor | None = None


class Evidence:
    """What a choice may look at beside the labels of one image; computed when first asked for, never otherwise.

    Args:
        predict: gives the predictions; called without gradients.
        overlap: gives each example's highest IoU with a ground-truth box and that box's index, both `(R,)`; 0 and 0
            where there is no box.
    """

    def __init__(self, predict: Callable[[], Predictions], overlap: Callable[[], tuple[Tensor, Tensor]]) -> None:
        self._predict = predict
        self._overlap = overlap

    @cached_property
    def predictions(self) -> Predictions:
        """The predictions of the head with its current weights."""
        with torch.no_grad():
            return self._predict()

    @property
    def ious(self) -> Tensor:
        """Highest IoU `(R,)` with a ground-truth box."""
        return self._overlaps[0]

    @property
    def instances(self) -> Tensor:
        """Index `(R,)` of the ground-truth box with that IoU."""
        return self._overlaps[1]

    @cached_property
    def _overlaps(self) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return self._overlap()


class ExampleChoice(Protocol):
    """The interface of every choice of examples."""

    def __call__(self, labels: Tensor, num_classes: int, evidence: Evidence | None = None) -> Tensor:
        """Labels `(R,)` of one image in, the same with the examples that do not train set to `-1` out."""
        ...


@runtime_checkable
class WeightedChoice(Protocol):
    """A choice of examples that also weighs their classification losses; of RoI heads."""

    def draw_weighted(
        self, labels: Tensor, num_classes: int, evidence: Evidence | None = None
    ) -> tuple[Tensor, Tensor]:
        """Indices `(K,)` of one image's examples that train, and weights `(K,)` known by now."""
        ...

    def positive_weights(
        self, labels: Tensor, num_classes: int, instances: Tensor, ious: Tensor, losses: Tensor
    ) -> Tensor:
        """Further weights `(M,)` of a mini-batch's examples, from the head's output; see `ISR`."""
        ...


class AllExamples:
    """Every labelled example trains (v1 "Dropping sampling", v2 Section IV-1)."""

    def __call__(self, labels: Tensor, num_classes: int, evidence: Evidence | None = None) -> Tensor:
        """The labels themselves."""
        return labels

    def __repr__(self) -> str:
        return "AllExamples()"
