"""Train object detectors on every example, without a sampling heuristic.

The papers' mechanism is here; the two hosts are `sampling_free.detectron2` and `sampling_free.torchvision`, imported by
whoever wants one. Importing this package loads neither, and torch only when a name of the mechanism is used: a command
line that is asked for help answers at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

from sampling_free.errors import UserError

if TYPE_CHECKING:
    from sampling_free.mechanism import *  # noqa: F403

__version__ = "0.2.0"

_MECHANISM = (  # the public surface: `__all__` of `sampling_free.mechanism`
    "AllExamples",
    "ConstantScaling",
    "Evidence",
    "ExampleChoice",
    "ForegroundNormalizer",
    "ForegroundStatistics",
    "FrozenScaling",
    "GradientShares",
    "GuidedScaling",
    "LearnedScaling",
    "LossScaling",
    "MovingForegroundNormalizer",
    "PerExample",
    "PerForeground",
    "PerImage",
    "Predictions",
    "SigmoidCrossEntropy",
    "WeightedChoice",
    "bias_of_prior",
    "initialize_bias",
    "parameter_groups",
    "scale_parameters",
    "sigmoid_cross_entropy_sum",
)

__all__ = [*_MECHANISM, "UserError", "__version__"]


def __getattr__(name: str) -> Any:
    """A name of the mechanism, which is loaded when the first is asked for."""
    if name not in _MECHANISM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("sampling_free.mechanism"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MECHANISM})
