"""The images on which a detector is wrong the most, drawn."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sampling_free.analysis.matching import Findings
from sampling_free.data.images import read_image
from sampling_free.pictures import Box, class_colors, draw_boxes

_SIDE = 520  # pixels
_QUALITY = 82


def worst_images(findings: Findings, threshold: float, most: int = 6) -> list[tuple[int, int, int]]:
    """Place, false alarms and missed objects of the images with the most of both; images without any are left out.

    Args:
        findings: of a data set.
        threshold: of the score.
        most: how many images.
    """
    kept = (findings.scores >= threshold) & ~findings.ignored[0]
    alarms = np.bincount(findings.places[kept & ~findings.hits[0]], minlength=len(findings.images))
    found = np.zeros(len(findings.object_boxes), dtype=bool)
    found[findings.found_by[kept & findings.hits[0]]] = True
    missed = np.bincount(findings.object_places[~found & ~findings.crowds], minlength=len(findings.images))
    order = np.argsort(-(alarms + missed), kind="stable")[:most]
    return [(int(place), int(alarms[place]), int(missed[place])) for place in order if alarms[place] + missed[place]]


def picture_of(findings: Findings, place: int, file: Path, threshold: float) -> str:
    """Ground truth beside detections of one image, mistakes dashed: a JPEG as the address of an `img`.

    Args:
        findings: of a data set.
        place: of the image.
        file: of the image.
        threshold: of the score.
    """
    image, colors = read_image(file), class_colors(findings.categories)
    truth = np.flatnonzero((findings.object_places == place) & ~findings.crowds)
    kept = np.flatnonzero((findings.places == place) & (findings.scores >= threshold) & ~findings.ignored[0])
    found = set(findings.found_by[kept].tolist())
    names = findings.categories
    objects = [
        Box(_corners(findings.object_boxes[i]), names[findings.object_classes[i]], dashed=i not in found) for i in truth
    ]
    detections = [
        Box(_corners(findings.boxes[i]), names[findings.classes[i]], float(findings.scores[i]), dashed=not hit)
        for i, hit in zip(kept, findings.hits[0, kept], strict=True)
    ]
    drawn = [draw_boxes(image, boxes, side=_SIDE, most=_SIDE, colors=colors) for boxes in (objects, detections)]
    gap = np.full((drawn[0].shape[0], 8, 3), 128, np.uint8)
    return _address(np.hstack([drawn[0], gap, drawn[1]]))


def _corners(xywh: Sequence[float]) -> tuple[float, float, float, float]:
    x, y, width, height = (float(value) for value in xywh)
    return x, y, x + width, y + height


def _address(image: Any) -> str:
    _, encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
