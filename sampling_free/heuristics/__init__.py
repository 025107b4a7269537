"""What Sampling-Free replaces: choices of examples and weighted losses, behind the mechanism's own interfaces.

Which examples train: `BiasedSampling`, `OnlineHardExamples`, `IoUBalancedSampling`, and `ISR`, which weights them too.
Classification losses of dense heads: `FocalLoss`, `GHMC`. A box loss of theirs: `GHMR`.
"""

from sampling_free.heuristics.focal import FocalLoss
from sampling_free.heuristics.ghm import GHMC, GHMR
from sampling_free.heuristics.hard_examples import OnlineHardExamples
from sampling_free.heuristics.iou_balanced import IoUBalancedSampling
from sampling_free.heuristics.isr import ISR
from sampling_free.heuristics.sampling import BiasedSampling

__all__ = ["GHMC", "GHMR", "ISR", "BiasedSampling", "FocalLoss", "IoUBalancedSampling", "OnlineHardExamples"]
