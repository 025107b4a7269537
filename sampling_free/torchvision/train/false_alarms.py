"""False alarms on images without objects, at the score where a detector finds most objects of the others.

AP hardly sees them: it ranks detections, and a few hundred quiet images are a small part of a data set. Whoever watches
images that are empty nearly always asks for this figure.
"""

import contextlib
import io
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def false_alarms(
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    background: Collection[int],
    *,
    recall: float = 0.8,
    iou: float = 0.5,
) -> float | None:
    """Detections on an average background image, at the highest score threshold that reaches a recall.

    A box is found where a detection of its class overlaps it by `iou` at least; detections are matched as COCO does.
    Boxes of crowds need not be found.

    Args:
        truth: a COCO dictionary; background images may be among its images.
        detections: in COCO's result format: `image_id`, `category_id`, `bbox` in XYWH pixels, `score`.
        background: ids of the images without objects; at least one.
        recall: the share of all boxes that must be found, in (0, 1].
        iou: the least overlap.

    Returns:
        Detections of that score or a higher one, divided by the number of background images; None where no threshold
        reaches the recall.
    """
    found, count = _scores_of_found(truth, detections, set(background), iou)
    needed = math.ceil(recall * count)
    if not count or len(found) < needed:
        return None
    threshold = sorted(found, reverse=True)[needed - 1]
    alarms = [hit for hit in detections if hit["image_id"] in set(background) and hit["score"] >= threshold]
    return len(alarms) / len(background)


def _scores_of_found(
    truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], background: set[int], iou: float
) -> tuple[list[float], int]:
    """Score of the detection that found each box that was found, and how many boxes there are."""
    elsewhere = [dict(hit) for hit in detections if hit["image_id"] not in background]
    if not elsewhere:
        return [], 0
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dict(truth)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(elsewhere), "bbox")
        evaluation.params.iouThrs = np.array([iou])
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    found: list[float] = []
    count = 0
    for of_image in filter(None, evaluation.evalImgs):  # of one image and one class
        hits = (of_image["dtMatches"][0] > 0) & ~of_image["dtIgnore"][0].astype(bool)
        found += np.asarray(of_image["dtScores"])[hits].tolist()
        count += int((~np.asarray(of_image["gtIgnore"]).astype(bool)).sum())
    return found, count
