"""The initial bias that a rare foreground asks for (v1 "Optimal bias initialisation", v2 Section IV-2)."""

import math
from typing import Protocol

from torch import nn


def bias_of_prior(prior: float) -> float:
    """b = -log(1 / pi - 1), so that sigmoid(b) = pi (v1 Eq. 10, v2 Eq. 18).

    Raises:
        ValueError: `prior` is not strictly between 0 and 1.
    """
    if not 0 < prior < 1:
        raise ValueError(f"a prior is a probability strictly between 0 and 1, not {prior}")
    return math.log(prior) - math.log1p(-prior)


class _HasBias(Protocol):
    @property
    def bias(self) -> float: ...


def initialize_bias(layer: nn.Module, statistics: _HasBias) -> None:
    """Set every bias of the last classification layer to the optimal one (v1 Eq. 10, v2 Eq. 18); weights are kept.

    Args:
        layer: convolution or linear layer whose outputs are the classification logits.
        statistics: what has a `.bias`: `ForegroundStatistics`.

    Raises:
        ValueError: the layer has no bias.
    """
    bias = getattr(layer, "bias", None)
    if bias is None:
        raise ValueError(f"{type(layer).__name__} has no bias to initialise; build it with bias=True")
    nn.init.constant_(bias, statistics.bias)
