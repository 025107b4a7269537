"""By what a head's losses are divided: the papers' way, and torchvision's own. Letters: N images.

The ratio that guides classification cancels every constant in the classification loss, but not in the localisation
loss: what that is divided by sets the scale of both. So the divisor is a choice, not a detail.
"""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from sampling_free.mechanism import ForegroundNormalizer
from sampling_free.torchvision.structures import Sampler

SumOf = Callable[[int | None], Tensor]  # the sum over one image of the batch, or (None) over all


class PerForeground(nn.Module):
    """Divide by the number of foreground examples N_f of the batch (v1 Eq. 2, v2 Eq. 13).

    N_f is averaged over processes; the running one where a batch has none.

    Args:
        localization_weight: further weight of the localisation loss. The released code averages over the four
            coordinates (1/4) in RoI heads and halves that in the region proposal network (1/8).
    """

    def __init__(self, localization_weight: float = 1.0) -> None:
        super().__init__()
        self.localization_weight = localization_weight
        self.count = ForegroundNormalizer()

    def dense(self, num_foreground: Tensor, classification: SumOf, localization: SumOf) -> tuple[Tensor, Tensor]:
        """The losses of a dense head: both sums over N_f, for foreground counts `(N,)`."""
        divisor = self.count(num_foreground.sum())
        return classification(None) / divisor, localization(None) * self.localization_weight / divisor

    def sampled(self, classification: Tensor, localization: Tensor, sampler: Sampler) -> tuple[Tensor, Tensor]:
        """The losses of a region proposal network or RoI head from torchvision's, which are per trained example.

        Localisation becomes per foreground example. Classification stays a mean over examples: the guiding ratio
        cancels the difference, and a batch without foreground keeps its usual weight.
        """
        divisor = self.count(localization.new_tensor(sampler.num_foreground))
        return classification, localization * (self.localization_weight * sampler.num_examples) / divisor


class PerImage(nn.Module):
    """Each image's sums over its own foreground count, then the mean of images: torchvision's RetinaNet."""

    def dense(self, num_foreground: Tensor, classification: SumOf, localization: SumOf) -> tuple[Tensor, Tensor]:
        """The losses of a dense head, for foreground counts `(N,)`."""
        counts = [max(1, int(count)) for count in num_foreground]

        def mean(sum_of: SumOf) -> Tensor:
            means = [sum_of(image) / count for image, count in enumerate(counts)]
            return sum(means[1:], start=means[0]) / len(means)

        return mean(classification), mean(localization)


class PerExample(nn.Module):
    """Both losses over the number of examples that train: torchvision's region proposal network and RoI heads."""

    def sampled(self, classification: Tensor, localization: Tensor, sampler: Sampler) -> tuple[Tensor, Tensor]:
        """The losses as torchvision gives them."""
        return classification, localization


class DenseNormalizer(Protocol):
    """What a dense head divides by: `PerForeground` or `PerImage`."""

    dense: Callable[[Tensor, SumOf, SumOf], tuple[Tensor, Tensor]]


class SampledNormalizer(Protocol):
    """What a region proposal network or RoI head divides by: `PerForeground` or `PerExample`."""

    sampled: Callable[[Tensor, Tensor, Sampler], tuple[Tensor, Tensor]]
