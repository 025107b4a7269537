"""How rare is the foreground? Counts of examples, from label assignment alone.

Letters: N images, R examples of an image, C classes.
"""

import logging
import math

import torch
from torch import Tensor, nn

from sampling_free.mechanism.classification import SigmoidCrossEntropy
from sampling_free.mechanism.prior import bias_of_prior

logger = logging.getLogger(__name__)

_PRECISION = 0.02  # standard error of the prior, as a share of it, at which counting stops
_LEAST_IMAGES = 50  # before it may: a few images that happen to agree have an error of nothing
_MOST_IMAGES = 20_000  # a training loader never ends, so counting must


class ForegroundStatistics(nn.Module):
    """Counts of foreground and of all labelled examples, and what follows from them.

    All state is integer buffers, so it travels in a model's checkpoint and survives `.half()`.

    Args:
        num_foreground: foreground examples counted so far.
        num_examples: labelled examples (foreground and background, not the ignored) counted so far.
        num_classes: C of the classifier; 1 for a region proposal network.
    """

    # what follows from counts has no value before there are any: TorchScript and the tracer must not ask for it
    __jit_unused_properties__ = ["prior", "bias", "score_threshold", "standard_error", "summary"]
    __jit_ignored_attributes__ = __jit_unused_properties__

    num_foreground: Tensor
    num_examples: Tensor
    num_images: Tensor
    _sum_of_squares: Tensor

    def __init__(self, num_foreground: int, num_examples: int, num_classes: int) -> None:
        super().__init__()
        if not 0 <= num_foreground <= num_examples or num_classes < 1:
            raise ValueError(
                f"expected 0 <= num_foreground <= num_examples and num_classes >= 1, "
                f"got {num_foreground}, {num_examples} and {num_classes}"
            )
        self.num_classes = num_classes
        self._settled = False
        self.register_buffer("num_foreground", torch.tensor(num_foreground))
        self.register_buffer("num_examples", torch.tensor(num_examples))
        self.register_buffer("num_images", torch.tensor(0))
        # over images: foreground^2, foreground * examples, examples^2
        self.register_buffer("_sum_of_squares", torch.zeros(3, dtype=torch.int64))

    def __dir__(self) -> list[str]:
        # torch.jit.trace evaluates every name listed here
        return [name for name in super().__dir__() if name not in self.__jit_unused_properties__]

    def settle(self) -> None:
        """The prior is what its user wants: there is nothing to remind of."""
        self._settled = True

    def remind(self, classification_loss: nn.Module | None = None) -> None:
        """Say once, when training begins, that nobody has set the prior.

        Args:
            classification_loss: that trains; Focal Loss and GHM-C have initial biases of their own. None is the host's
                cross-entropy.
        """
        if self._settled or torch.compiler.is_compiling():
            return
        self._settled = True
        own_bias = classification_loss is not None and not isinstance(classification_loss, SigmoidCrossEntropy)
        if not own_bias and not int(self.num_images) and not int(self.num_examples):
            logger.warning(
                "Nobody has set the prior of this model: its classification starts from the host's bias, not from the "
                "data's. Call fit_prior(model, data) before training, or set_prior(model, number)."
            )

    def update(self, labels: Tensor) -> None:
        """Count the labels of N images.

        Args:
            labels: integers `(N, R)` or, of one image, `(R,)`: class in `[0, C)`, `C` background, `-1` ignored.
        """
        labels = labels.reshape(-1, labels.shape[-1])
        foreground = ((labels >= 0) & (labels < self.num_classes)).sum(dim=1)
        examples = (labels >= 0).sum(dim=1)
        self.num_foreground += foreground.sum()
        self.num_examples += examples.sum()
        self.num_images += len(labels)
        self._sum_of_squares += torch.stack([foreground**2, foreground * examples, examples**2]).sum(dim=1)

    @property
    def prior(self) -> float:
        """pi* = N_f / (N C), the share of positives among all N C binary decisions (v1 Eq. 10; v2's N is N C)."""
        return self._counts()[0] / (self._counts()[1] * self.num_classes)

    @property
    def bias(self) -> float:
        """b = -log(1 / pi - 1), the bias that makes the initial cross-entropy minimal (v1 Eq. 10, v2 Eq. 18)."""
        return bias_of_prior(self.prior)

    @property
    def score_threshold(self) -> float:
        """theta = N_f / N, without C: scores below it are not worth keeping (v1, adaptive threshold, Table 2)."""
        return self._counts()[0] / self._counts()[1]

    @property
    def standard_error(self) -> float:
        """Standard error of the prior as a share of the prior (0.02 is 2 %).

        With counts of at least two images, that of a ratio estimator over images; else that of a Poisson count.
        """
        foreground, examples = self._counts()
        images = int(self.num_images)
        if images < 2:
            return 1 / math.sqrt(foreground)
        ratio = foreground / examples
        f2, fn, n2 = (float(value) for value in self._sum_of_squares)
        residual = max(f2 - 2 * ratio * fn + ratio**2 * n2, 0.0) / (images - 1)
        return math.sqrt(images * residual) / foreground

    def enough(self, num_images: int | None = None) -> bool:
        """Whether counting may stop.

        Args:
            num_images: how many images to count. Default: at least 50, until the standard error of the prior is under
                2 %, and at most 20,000.
        """
        images = int(self.num_images)
        if num_images is not None:
            return images >= num_images
        if images >= _MOST_IMAGES:
            return True
        return images >= _LEAST_IMAGES and int(self.num_foreground) > 0 and self.standard_error < _PRECISION

    def most(self, num_images: int | None = None) -> int:
        """How many images may still be counted, as `enough` has it."""
        return (_MOST_IMAGES if num_images is None else num_images) - int(self.num_images)

    @property
    def summary(self) -> str:
        """Counts and what follows from them, in a sentence."""
        return (
            f"Foreground: {int(self.num_foreground)} of {int(self.num_examples)} examples in {int(self.num_images)} "
            f"images; prior {self.prior:.3g}, bias {self.bias:.2f}, N_f/N {self.score_threshold:.3g} "
            f"(standard error {100 * self.standard_error:.1f} %)."
        )

    def _counts(self) -> tuple[int, int]:
        foreground, examples = int(self.num_foreground), int(self.num_examples)
        if not foreground:
            raise ValueError(
                f"no foreground among {examples} examples of {int(self.num_images)} images: the prior cannot be "
                f"computed; check the annotations, or give the prior as a number"
            )
        return foreground, examples

    def extra_repr(self) -> str:
        """Counts, in words."""
        return f"{int(self.num_foreground)} foreground of {int(self.num_examples)} examples, {self.num_classes} classes"
