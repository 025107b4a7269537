"""Precision, recall and F1 over the score threshold, and the threshold with the best F1."""

from dataclasses import dataclass

import numpy as np

from sampling_free.analysis.matching import Findings, Floats, Ints


@dataclass(frozen=True)
class Curve:
    """What remains of the detections at each threshold, at an IoU of 0.5.

    Attributes:
        thresholds: `(S,)`, rising: every score that a detection has.
        precision: `(S,)`, share of the detections that are right.
        recall: `(S,)`, share of the objects that are found.
    """

    thresholds: Floats
    precision: Floats
    recall: Floats

    @property
    def f1(self) -> Floats:
        """Harmonic mean of precision and recall, `(S,)`."""
        total = self.precision + self.recall
        return np.divide(2 * self.precision * self.recall, total, out=np.zeros_like(total), where=total > 0)


def threshold_curve(findings: Findings, category: int | None = None) -> Curve:
    """The curve of all detections, or of one category's.

    A detection counts from its own score on: at a threshold all detections with this score or a higher one remain.

    Args:
        findings: of a data set.
        category: its place among the categories; None for all together.
    """
    counted = ~findings.ignored[0]
    objects = ~findings.crowds
    if category is not None:
        counted = counted & (findings.classes == category)
        objects = objects & (findings.object_classes == category)
    thresholds, place = np.unique(findings.scores[counted], return_inverse=True)
    # how many there are, and how many are right, from each score on
    total = _from_here_on(np.bincount(place, minlength=len(thresholds)))
    right = _from_here_on(np.bincount(place[findings.hits[0, counted]], minlength=len(thresholds)))
    return Curve(thresholds, right / np.maximum(total, 1), right / max(1, int(objects.sum())))


def best_threshold(curve: Curve) -> float:
    """The threshold with the best F1, the lowest of equals; 0 without detections."""
    return float(curve.thresholds[curve.f1.argmax()]) if len(curve.thresholds) else 0.0


def _from_here_on(counts: Ints) -> Ints:
    return counts[::-1].cumsum()[::-1]
