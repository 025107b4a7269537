"""The confusion matrix: how often a detector takes one class for another. Letters: K categories."""

import numpy as np

from sampling_free.analysis.errors import overlaps
from sampling_free.analysis.matching import Findings, Ints

_MATCH = 0.5


def confusion_matrix(findings: Findings, threshold: float) -> Ints:
    """Counts `(K + 1, K + 1)` of pairs of an object's class (row) and its detection's (column).

    First come the matches of COCO's evaluation, which are of one class. What they leave is matched across classes at an
    IoU of 0.5, the best score first. The last row counts detections on no object; the last column counts objects that
    nothing was matched with. The last cell is 0.

    Args:
        findings: of a data set.
        threshold: of the score.
    """
    num_classes = len(findings.categories)
    matrix = np.zeros((num_classes + 1, num_classes + 1), dtype=np.int64)
    kept = (findings.scores >= threshold) & ~findings.ignored[0]
    right = kept & findings.hits[0]
    np.add.at(matrix, (findings.classes[right], findings.classes[right]), 1)
    free = ~findings.crowds
    free[findings.found_by[right]] = False
    for detections, objects, ious in overlaps(findings, kept & ~findings.hits[0]):
        for detection, row in zip(detections, ious, strict=True):
            left = np.where(free[objects], row, 0)
            best = int(left.argmax()) if len(left) else -1
            taken = best >= 0 and left[best] >= _MATCH
            kind = findings.object_classes[objects[best]] if taken else num_classes
            matrix[kind, findings.classes[detection]] += 1
            if taken:
                free[objects[best]] = False
    matrix[:-1, num_classes] += np.bincount(findings.object_classes[free], minlength=num_classes)
    return matrix
