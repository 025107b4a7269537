"""What Sampling-Free replaces: choices of examples and weighted losses, behind the mechanism's own interfaces."""

from sampling_free.heuristics.focal import FocalLoss
from sampling_free.heuristics.sampling import BiasedSampling

__all__ = ["BiasedSampling", "FocalLoss"]
