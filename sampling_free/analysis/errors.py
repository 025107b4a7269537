"""What kind of mistake is a false detection? Six kinds, after TIDE (Bolya et al., ECCV 2020).

The best IoU of a wrong detection with an object of its image decides: from 0.5 on they match, from 0.1 on it is near.
"""

from collections.abc import Iterator

import numpy as np
from pycocotools import mask

from sampling_free.analysis.matching import Bools, Findings, Floats, Ints

KINDS = {
    "classification": "on an object of another class (IoU of 0.5 or more)",
    "localisation": "near an object of its class (IoU of 0.1 to 0.5)",
    "both": "near an object of another class",
    "duplicate": "on an object of its class that a better detection has found",
    "background": "on no object at all (IoU below 0.1)",
    "missed": "an object that no detection is on or near",
}
_MATCH, _NEAR = 0.5, 0.1


def error_types(findings: Findings, threshold: float) -> dict[str, int]:
    """How many mistakes of each kind there are at a score threshold.

    Args:
        findings: of a data set.
        threshold: of the score.

    Returns:
        A count for each of `KINDS`.
    """
    kinds, missed = _told(findings, threshold)
    counts = {kind: sum(one == kind for one in kinds.values()) for kind in KINDS}
    return counts | {"missed": int(missed.sum())}


def _told(findings: Findings, threshold: float) -> tuple[dict[int, str], Bools]:
    """The kind of each wrong detection by its place, and which objects `(G,)` are missed."""
    kinds: dict[int, str] = {}
    covered = np.zeros(len(findings.object_boxes), dtype=bool)
    kept = (findings.scores >= threshold) & ~findings.ignored[0]
    covered[findings.found_by[kept & findings.hits[0]]] = True
    for detections, objects, ious in overlaps(findings, kept & ~findings.hits[0]):
        for detection, row in zip(detections, ious, strict=True):
            same = findings.object_classes[objects] == findings.classes[detection]
            kinds[int(detection)], on = _kind(row, same)
            if on is not None:
                covered[objects[on]] = True
    return kinds, ~covered & ~findings.crowds


def _kind(ious: Floats, same: Bools) -> tuple[str, int | None]:
    """Of a wrong detection: its kind, and the place of the object that it is a clumsy attempt at.

    Args:
        ious: `(M,)` with the objects of its image.
        same: `(M,)`, whether they are of its class.
    """
    of_class, of_others = np.where(same, ious, 0), np.where(same, 0, ious)
    best, other = of_class.max(initial=0), of_others.max(initial=0)
    if best >= _MATCH:
        return "duplicate", None
    if best >= _NEAR and best >= other:
        return "localisation", int(of_class.argmax())
    if other >= _MATCH:
        return "classification", int(of_others.argmax())
    if best >= _NEAR:
        return "localisation", int(of_class.argmax())
    return ("both", None) if other >= _NEAR else ("background", None)


def overlaps(findings: Findings, chosen: Bools) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Image by image: some detections `(d,)`, the objects that are no crowds `(g,)`, and their IoU `(d, g)`.

    Args:
        findings: of a data set.
        chosen: `(D,)`, which detections; the best score comes first.
    """
    order = np.lexsort((-findings.scores, findings.places))
    order = order[chosen[order]]
    objects = np.argsort(findings.object_places, kind="stable")
    objects = objects[~findings.crowds[objects]]
    starts = np.searchsorted(findings.object_places[objects], np.arange(len(findings.images) + 1))
    if not len(order):
        return
    for of_image in np.split(order, np.flatnonzero(np.diff(findings.places[order])) + 1):
        place = findings.places[of_image[0]]
        there = objects[starts[place] : starts[place + 1]]
        ious = np.zeros((len(of_image), len(there)))
        if len(there):
            ious = mask.iou(findings.boxes[of_image], findings.object_boxes[there], [0] * len(there))
        yield of_image, there, ious
