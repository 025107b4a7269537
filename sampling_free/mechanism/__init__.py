"""The papers' mechanism, on PyTorch alone: train on every example, at the right scale.

Read in this order: `examples` (which examples train), `classification` (their loss), `foreground` and `prior` (how it
starts), `scaling` (at what scale it goes on). `gradient_shares` measures what that does.
"""

from sampling_free.mechanism.classification import SigmoidCrossEntropy, sigmoid_cross_entropy_sum
from sampling_free.mechanism.examples import AllExamples, Evidence, ExampleChoice, Predictions, WeightedChoice
from sampling_free.mechanism.foreground import ForegroundStatistics
from sampling_free.mechanism.gradient_shares import GradientShares
from sampling_free.mechanism.normalization import (
    ForegroundNormalizer,
    MovingForegroundNormalizer,
    PerExample,
    PerForeground,
    PerImage,
)
from sampling_free.mechanism.parameters import parameter_groups, scale_parameters
from sampling_free.mechanism.prior import bias_of_prior, initialize_bias
from sampling_free.mechanism.scaling import (
    ConstantScaling,
    FrozenScaling,
    GuidedScaling,
    LearnedScaling,
    LossScaling,
)

__all__ = [
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
]
