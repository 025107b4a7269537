"""How sure is a difference between two detectors? A paired bootstrap over the images that both were evaluated on.

Letters: I images, D detections, T thresholds of IoU, K categories.
"""

from dataclasses import dataclass

import numpy as np

from sampling_free.analysis.matching import Bools, Findings, Floats, Ints
from sampling_free.errors import UserError

_RECALLS = np.linspace(0, 1, 101)  # at which COCO reads precision


@dataclass(frozen=True)
class _Category:
    """Detections of one category, the best first.

    Attributes:
        places: `(D,)`, the image of each.
        hits: `(T, D)`.
        misses: `(T, D)`, neither hit nor ignored.
        objects: `(I,)`, how many objects each image has, crowds not counted.
    """

    places: Ints
    hits: Bools
    misses: Bools
    objects: Ints

    def average_precision(self, weights: Ints) -> float | None:
        """In [0, 1], of a data set in which image i stands `weights[i]` times; None without objects."""
        total = int(weights @ self.objects)
        if not total:
            return None
        times = weights[self.places]
        right = np.cumsum(self.hits * times, axis=1)
        wrong = np.cumsum(self.misses * times, axis=1)
        precision = right / np.maximum(right + wrong, 1)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        read = np.zeros((len(right), len(_RECALLS)))
        for row, (found, values) in enumerate(zip(right, precision, strict=True)):
            at = np.searchsorted(found / total, _RECALLS, side="left")
            read[row, at < len(values)] = values[at[at < len(values)]]
        return float(read.mean())


class Resampled:
    """COCO's AP of a detector on samples of its images.

    Args:
        findings: of the detector.
    """

    def __init__(self, findings: Findings) -> None:
        order = np.argsort(-findings.scores, kind="stable")
        wrong = ~findings.hits & ~findings.ignored
        self.categories = []
        for number in range(len(findings.categories)):
            mine = order[findings.classes[order] == number]
            counted = ~findings.crowds & (findings.object_classes == number)
            objects = np.bincount(findings.object_places[counted], minlength=len(findings.images))
            self.categories.append(_Category(findings.places[mine], findings.hits[:, mine], wrong[:, mine], objects))

    def average_precision(self, weights: Ints) -> float:
        """AP in percent, of a data set in which image i stands `weights[i]` times; 0 without any object.

        Args:
            weights: `(I,)`.
        """
        known = [category.average_precision(weights) for category in self.categories]
        values = [value for value in known if value is not None]
        return 100 * float(np.mean(values)) if values else 0.0


def paired_interval(
    first: Findings, second: Findings, *, samples: int = 500, seed: int = 0
) -> tuple[float, float, float]:
    """The difference in AP of a second detector to a first one, and the ends of its 95 % interval over images.

    Both are evaluated on the same samples of the images, drawn with replacement, so that what is easy or hard for both
    does not count.

    Args:
        first: findings of one.
        second: findings of the other, on the same images.
        samples: how many.
        seed: of the samples.

    Raises:
        UserError: the two were evaluated on different images.
    """
    if first.images != second.images or first.categories != second.categories:
        raise UserError("two runs that were evaluated on different images or classes have no paired difference")
    pair, generator, size = (Resampled(first), Resampled(second)), np.random.default_rng(seed), len(first.images)

    def difference(weights: Ints) -> float:
        return pair[1].average_precision(weights) - pair[0].average_precision(weights)

    drawn: Floats = np.array(
        [difference(np.bincount(generator.integers(size, size=size), minlength=size)) for _ in range(samples)]
    )
    low, high = np.percentile(drawn, [2.5, 97.5])
    return difference(np.ones(size, dtype=np.int64)), float(low), float(high)
