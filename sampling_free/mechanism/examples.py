"""Which examples train? All of them. Letters: R examples of an image, C classes.

A choice of examples is a function from the labels of one image to labels of the same shape, in which what does not
train is ignored (`-1`). `AllExamples` is the papers' choice and the identity; `sampling_free.heuristics` has the rest.
"""

from typing import Protocol

from torch import Tensor


class ExampleChoice(Protocol):
    """What every choice of examples answers to."""

    def __call__(self, labels: Tensor, num_classes: int) -> Tensor:
        """Labels `(R,)` of one image in, the same with the examples that do not train set to `-1` out."""
        ...


class AllExamples:
    """Every labelled example trains (v1 "Dropping sampling", v2 Section IV-1)."""

    def __call__(self, labels: Tensor, num_classes: int) -> Tensor:
        """The labels themselves."""
        return labels

    def __repr__(self) -> str:
        return "AllExamples()"
