"""By what the losses are divided: the papers' way, and the hosts' own. Letters: N images.

The ratio that guides classification cancels every constant in the classification loss, but not in the localisation
loss: what that is divided by sets the scale of both. So the divisor is a choice, not a detail.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from sampling_free.errors import UserError
from sampling_free.mechanism.processes import mean_over_processes

EVERY_IMAGE = slice(None)


@dataclass(frozen=True)
class ExampleCounts:
    """What trained in the batch of a head that trains on chosen examples.

    Attributes:
        num_foreground: foreground examples that train.
        num_examples: examples that train.
        num_averaged: what the host divided its losses by: `num_examples`, or (detectron2's RPN) a nominal number.
    """

    num_foreground: int
    num_examples: int
    num_averaged: int

    @staticmethod
    def of(labels: Tensor, num_classes: int, num_averaged: int | None = None) -> "ExampleCounts":
        """Counts of labels of any shape, -1 where an example does not train; one wait for the device."""
        trained = labels >= 0
        foreground, examples = torch.stack([(trained & (labels < num_classes)).sum(), trained.sum()]).tolist()
        return ExampleCounts(foreground, examples, max(1, examples) if num_averaged is None else num_averaged)

    def logged(self, like: Tensor) -> dict[str, Tensor]:
        """What a loss scale logs of them, as scalars of the type and device of another."""
        return {name: like.new_tensor(getattr(self, name)) for name in ("num_foreground", "num_examples")}


@dataclass(frozen=True)
class BatchLoss:
    """A loss of a dense head that is still to be divided.

    Attributes:
        of: gives the loss of some of the batch's images.
        reduction: "sum" over their examples, or "mean": an average by itself, as GHM's, is weighed but not divided.
    """

    of: Callable[[slice], Tensor]
    reduction: str = "sum"


def reduction_of(loss: object) -> str:
    """What a loss module does with its examples, in PyTorch's word: "sum", unless its `reduction` says another."""
    return getattr(loss, "reduction", "sum")


def over(loss: Tensor, divisor: Tensor | float, reduction: str) -> Tensor:
    """A sum over a divisor; a mean as it is."""
    return loss if reduction == "mean" else loss / divisor


class ForegroundNormalizer(nn.Module):
    """N_f of the mini-batch, averaged over processes; the running N_f where a mini-batch has no foreground.

    A classification sum over background alone, divided by max(1, 0), would be hundreds of times larger than its
    neighbours. The running count keeps such batches at their usual weight, so that they still teach.

    Args:
        initial: the running count before any foreground was seen (detectron2's RetinaNet starts at 100 too).
        momentum: of the running count.
    """

    running: Tensor

    def __init__(self, initial: float = 100.0, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("running", torch.tensor(float(initial)))

    @torch.jit.unused
    def forward(self, num_foreground: Tensor) -> Tensor:
        """Divisor, a float32 scalar without gradient, for a scalar count of this process's mini-batch."""
        count = mean_over_processes(num_foreground.detach().float())
        divisor = torch.where(count > 0, count, self.running)
        if self.training:
            self.running += (divisor - self.running) * (1 - self.momentum)
        return divisor


class MovingForegroundNormalizer(nn.Module):
    """The moving average of max(1, N_f): what detectron2's RetinaNet (from 100) and FCOS (from 300) divide by.

    Unlike detectron2's it is a buffer, so that it is in the checkpoint, and N_f is averaged over processes.

    Args:
        initial: the average before the first mini-batch.
        momentum: of the average.
    """

    running: Tensor

    def __init__(self, initial: float = 100.0, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        # float64, because the average that is to be met bit for bit is a Python number
        self.register_buffer("running", torch.tensor(float(initial), dtype=torch.float64))

    @torch.jit.unused
    def forward(self, num_foreground: Tensor) -> float:
        """Divisor for a scalar count of this process's mini-batch."""
        count = max(1.0, mean_over_processes(num_foreground.detach().float()).item())
        divisor = self.running.item() * self.momentum + count * (1 - self.momentum)
        if self.training:
            self.running.fill_(divisor)
        return divisor


class PerForeground(nn.Module):
    """Divide by the number of foreground examples N_f of the batch (v1 Eq. 2, v2 Eq. 13).

    N_f is averaged over processes; the running one where a batch has none.

    Args:
        localization_weight: further weight of the localisation loss. The released code averages over the four
            coordinates (1/4) in RoI heads and halves that in the region proposal network (1/8).
        count: gives the divisor for this process's count; default `ForegroundNormalizer()`.
    """

    def __init__(self, localization_weight: float = 1.0, count: nn.Module | None = None) -> None:
        super().__init__()
        self.localization_weight = localization_weight
        self.count = ForegroundNormalizer() if count is None else count

    def dense(
        self, num_foreground: Tensor, classification: BatchLoss, localization: BatchLoss
    ) -> tuple[Tensor, Tensor]:
        """The losses of a dense head: both sums over N_f, for foreground counts `(N,)`."""
        divisor = self.count(num_foreground.sum())
        cls, loc = classification.of(EVERY_IMAGE), localization.of(EVERY_IMAGE) * self.localization_weight
        return over(cls, divisor, classification.reduction), over(loc, divisor, localization.reduction)

    def sampled(self, classification: Tensor, localization: Tensor, counts: ExampleCounts) -> tuple[Tensor, Tensor]:
        """The losses of a region proposal network or RoI head, from the host's averages.

        Localisation becomes per foreground example. Classification becomes a mean over the examples that train: the
        guiding ratio cancels the difference, and a batch without foreground keeps its usual weight.
        """
        divisor = self.count(localization.new_tensor(counts.num_foreground))
        # gradients are averaged over processes, so each divides by the mean count for all to be one mean
        num_examples = mean_over_processes(localization.new_tensor(float(counts.num_examples))).clamp(min=1)
        mean = classification * (counts.num_averaged / num_examples)
        return mean, localization * (self.localization_weight * counts.num_averaged) / divisor


class PerImage(nn.Module):
    """Each image's sums over its own foreground count, then the mean of images: torchvision's RetinaNet."""

    def dense(
        self, num_foreground: Tensor, classification: BatchLoss, localization: BatchLoss
    ) -> tuple[Tensor, Tensor]:
        """The losses of a dense head, for foreground counts `(N,)`."""
        counts = [max(1, int(count)) for count in num_foreground]

        def mean(loss: BatchLoss) -> Tensor:
            if loss.reduction == "mean":
                return loss.of(EVERY_IMAGE)
            means = [loss.of(slice(image, image + 1)) / count for image, count in enumerate(counts)]
            return sum(means[1:], start=means[0]) / len(means)

        return mean(classification), mean(localization)


class PerExample(nn.Module):
    """Both losses as the host averages them: over the examples that train (detectron2's RPN: a nominal number)."""

    def sampled(self, classification: Tensor, localization: Tensor, counts: ExampleCounts) -> tuple[Tensor, Tensor]:
        """The losses as they come."""
        return classification, localization


class DenseNormalizer(Protocol):
    """What a dense head divides by: `PerForeground` or `PerImage`."""

    dense: Callable[[Tensor, BatchLoss, BatchLoss], tuple[Tensor, Tensor]]


class SampledNormalizer(Protocol):
    """What a region proposal network or RoI head divides by: `PerForeground` or `PerExample`."""

    sampled: Callable[[Tensor, Tensor, ExampleCounts], tuple[Tensor, Tensor]]


def check_normalizer(normalizer: object, kind: str, head: str) -> None:
    """Refuse a normaliser that cannot divide a head's losses.

    Args:
        normalizer: what was passed as such.
        kind: "dense" or "sampled", the method that the head calls.
        head: its name.

    Raises:
        UserError: saying what the head takes.
    """
    if not hasattr(normalizer, kind):
        takes = {"dense": "PerForeground() or PerImage()", "sampled": "PerForeground() or PerExample()"}[kind]
        raise UserError(f"normalizer={type(normalizer).__name__} does not apply to {head}, which takes {takes}")
