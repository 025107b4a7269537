"""Which anchor answers for which box: one file for each detector's rule.

An assigner is called with the anchors of an image, its boxes `(M, 4)`, their classes `(M,)` and, in training, what the
detector predicts; it returns `(R,)` int64: the index of a box, -1 for background, -2 for ignored. Without predictions
(where foreground is counted before training) it answers from the boxes alone.
"""

from sampling_free.detectors.assigners.atss import AdaptiveAssigner
from sampling_free.detectors.assigners.fovea import FoveaAssigner
from sampling_free.detectors.assigners.paa import BalancedCost, ProbabilisticAssigner, RankingCost, SummedCost
from sampling_free.detectors.assigners.protocol import BACKGROUND, IGNORED, Assigner
from sampling_free.detectors.assigners.yolo import ResponsibleAssigner

__all__ = [
    "BACKGROUND",
    "IGNORED",
    "AdaptiveAssigner",
    "Assigner",
    "FoveaAssigner",
    "BalancedCost",
    "ProbabilisticAssigner",
    "RankingCost",
    "SummedCost",
    "ResponsibleAssigner",
]
