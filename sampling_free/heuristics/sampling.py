"""Hard sampling: which examples train, chosen by a rule. Letters: R examples of an image, C classes."""

import torch
from torch import Tensor

from sampling_free.mechanism import Evidence, ExampleChoice, WeightedChoice


class HardSampling:
    """A fixed number of examples at a fixed foreground share; who they are is up to the subclass.

    Args:
        batch_size: examples per image; 256 for a region proposal network, 512 for an RoI head.
        positive_fraction: the foreground's largest share; missing foreground is replaced by background.
    """

    heads: tuple[str, ...] = ("rpn", "roi", "cascade")  # where it makes sense

    def __init__(self, batch_size: int = 256, positive_fraction: float = 0.5) -> None:
        if batch_size < 1 or not 0 <= positive_fraction <= 1:
            raise ValueError(
                f"{type(self).__name__} needs a batch size of at least 1 and a positive fraction in [0, 1], "
                f"not {batch_size} and {positive_fraction}"
            )
        self.batch_size = batch_size
        self.positive_fraction = positive_fraction

    def __call__(self, labels: Tensor, num_classes: int, evidence: Evidence | None = None) -> Tensor:
        """Labels `(R,)` with all but the drawn examples set to -1."""
        drawn = self.draw(labels, num_classes, evidence)
        thinned = torch.full_like(labels, -1)
        thinned[drawn] = labels[drawn]
        return thinned

    def draw(self, labels: Tensor, num_classes: int, evidence: Evidence | None = None) -> Tensor:
        """Indices of the drawn examples, the foreground first, in the order of the draw."""
        foreground, num_foreground, background, num_background = self.candidates(labels, num_classes)
        return torch.cat(
            [
                self.foreground(foreground, num_foreground, evidence),
                self.background(background, num_background, evidence),
            ]
        )

    def candidates(self, labels: Tensor, num_classes: int) -> tuple[Tensor, int, Tensor, int]:
        """Indices of the foreground, how many of them to draw, and the same of the background."""
        foreground = torch.where((labels >= 0) & (labels < num_classes))[0]
        background = torch.where(labels == num_classes)[0]
        num_foreground = min(len(foreground), int(self.batch_size * self.positive_fraction))
        num_background = min(len(background), self.batch_size - num_foreground)
        return foreground, num_foreground, background, num_background

    def foreground(self, candidates: Tensor, number: int, evidence: Evidence | None) -> Tensor:
        """`number` of the candidates, which are indices and at least as many; at random."""
        return at_random(candidates, number)

    def background(self, candidates: Tensor, number: int, evidence: Evidence | None) -> Tensor:
        """The same for the background."""
        return at_random(candidates, number)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


class BiasedSampling(HardSampling):
    """Examples drawn at random, foreground and background apart (Ren et al., "Faster R-CNN").

    Draws as torchvision and detectron2 do (one permutation of the foreground, then one of the background, from torch's
    generator of the labels' device), so that the same seed picks the same examples. Arguments: see `HardSampling`.
    """


def at_random(candidates: Tensor, number: int) -> Tensor:
    """`number` of the candidates without replacement, each as likely as another."""
    return candidates[torch.randperm(len(candidates), device=candidates.device)[:number]]


def required(evidence: Evidence | None, choice: object) -> Evidence:
    """The evidence.

    Raises:
        ValueError: there is none.
    """
    if evidence is None:
        raise ValueError(f"{type(choice).__name__} chooses by more than labels: call it with evidence=Evidence(...)")
    return evidence


def chosen(
    examples: ExampleChoice, labels: Tensor, num_classes: int, evidence: Evidence
) -> tuple[Tensor, Tensor | None]:
    """Indices `(K,)` of the examples that train, for labels `(R,)`, and their weights `(K,)` if the choice has any.

    In the order of the draw where examples are drawn, as detectron2's are.
    """
    if isinstance(examples, WeightedChoice):
        return examples.draw_weighted(labels, num_classes, evidence)
    if isinstance(examples, HardSampling):
        return examples.draw(labels, num_classes, evidence), None
    return torch.where(examples(labels, num_classes, evidence) >= 0)[0], None
