"""Hard sampling: which examples train, chosen by a rule. Letters: R examples of an image, C classes."""

import torch
from torch import Tensor


class BiasedSampling:
    """A fixed number of examples at a fixed foreground share, drawn at random (Ren et al., "Faster R-CNN").

    Draws as torchvision and detectron2 do (one permutation of the foreground, then one of the background, from torch's
    generator of the labels' device), so that the same seed picks the same examples.

    Args:
        batch_size: examples per image; 256 for a region proposal network, 512 for an RoI head.
        positive_fraction: the foreground's largest share; missing foreground is replaced by background.
    """

    def __init__(self, batch_size: int = 256, positive_fraction: float = 0.5) -> None:
        if batch_size < 1 or not 0 <= positive_fraction <= 1:
            raise ValueError(
                f"biased sampling needs a batch size of at least 1 and a positive fraction in [0, 1], "
                f"not {batch_size} and {positive_fraction}"
            )
        self.batch_size = batch_size
        self.positive_fraction = positive_fraction

    def __call__(self, labels: Tensor, num_classes: int) -> Tensor:
        """Labels `(R,)` with all but the drawn examples set to -1."""
        drawn = self.draw(labels, num_classes)
        thinned = torch.full_like(labels, -1)
        thinned[drawn] = labels[drawn]
        return thinned

    def draw(self, labels: Tensor, num_classes: int) -> Tensor:
        """Indices of the drawn examples, the foreground first, in the order of the draw."""
        foreground = torch.where((labels >= 0) & (labels < num_classes))[0]
        background = torch.where(labels == num_classes)[0]
        num_foreground = min(len(foreground), int(self.batch_size * self.positive_fraction))
        num_background = min(len(background), self.batch_size - num_foreground)
        foreground = foreground[torch.randperm(len(foreground), device=labels.device)[:num_foreground]]
        background = background[torch.randperm(len(background), device=labels.device)[:num_background]]
        return torch.cat([foreground, background])

    def __repr__(self) -> str:
        return f"BiasedSampling(batch_size={self.batch_size}, positive_fraction={self.positive_fraction})"
