"""Detections and ground truth of a data set, matched by COCO's own tool.

Letters: D detections, G objects, K categories, T thresholds of IoU (0.5 to 0.95).
"""

import contextlib
import copy
import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Findings:
    """Detections and objects, and which belong together in the eyes of COCO's evaluation.

    Attributes:
        categories: names of the K categories.
        images: ids of all images.
        boxes: `(D, 4)` of the detections, XYWH in pixels.
        scores: `(D,)`.
        classes: `(D,)`, place in `categories`.
        places: `(D,)`, place of the detection's image in `images`.
        hits: `(T, D)`, whether a detection found an object of its class.
        ignored: `(T, D)`, whether a detection counts neither way: it lies in a crowd, or is beyond the hundred best.
        object_boxes: `(G, 4)`.
        object_classes: `(G,)`.
        object_places: `(G,)`.
        crowds: `(G,)`, objects that need not be found.
        found: `(G,)`, whether an object was found at an IoU of 0.5 by a detection of any score.
        found_by: `(D,)`, the object that a detection found at an IoU of 0.5; -1 where none.
        average_precision: `(T, K)` in [0, 1]; NaN for a category without objects.
    """

    categories: list[str]
    images: list[Any]
    boxes: Floats
    scores: Floats
    classes: Ints
    places: Ints
    hits: Bools
    ignored: Bools
    object_boxes: Floats
    object_classes: Ints
    object_places: Ints
    crowds: Bools
    found: Bools
    found_by: Ints
    average_precision: Floats

    def save(self, path: Path) -> None:
        """Write all of it to a file of numpy's, compressed; ids of images become texts."""
        values: dict[str, Any] = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        texts = {name: np.array([str(value) for value in getattr(self, name)]) for name in ("categories", "images")}
        np.savez_compressed(path, **values | texts)

    @classmethod
    def load(cls, path: Path) -> "Findings":
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as content:
            values: dict[str, Any] = {name: content[name] for name in content.files}
        return cls(**values | {name: values[name].tolist() for name in ("categories", "images")})


def find(truth: dict[str, Any], results: list[dict[str, Any]]) -> Findings:
    """Match detections with ground truth.

    Args:
        truth: the content of a COCO file.
        results: detections in COCO's result format.
    """
    categories = sorted(truth["categories"], key=lambda category: category["id"])
    class_of = {category["id"]: number for number, category in enumerate(categories)}
    images = sorted({image["id"] for image in truth["images"]}, key=str)
    place_of = {identity: place for place, identity in enumerate(images)}
    # COCO's tool takes the number 0 for "no match", and images may have names: both are numbered anew
    objects = [box for box in truth["annotations"] if box["image_id"] in place_of]
    found = [box for box in results if box["image_id"] in place_of and box["category_id"] in class_of]
    evaluation = _evaluated(
        [_numbered(box, number, place_of, class_of) for number, box in enumerate(objects, start=1)],
        [_numbered(box, number, place_of, class_of) for number, box in enumerate(found, start=1)],
        len(images),
        len(categories),
    )
    matched = _Matched(len(evaluation.params.iouThrs), len(found), len(objects))
    for of_pair in evaluation.evalImgs:
        if of_pair is not None:
            matched.add(of_pair)
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # thresholds, recalls, categories
    return Findings(
        categories=[category["name"] for category in categories],
        images=images,
        boxes=_boxes(found),
        scores=np.array([box["score"] for box in found], dtype=np.float64),
        classes=np.array([class_of[box["category_id"]] for box in found], dtype=np.int64),
        places=np.array([place_of[box["image_id"]] for box in found], dtype=np.int64),
        hits=matched.hits,
        ignored=matched.ignored,
        object_boxes=_boxes(objects),
        object_classes=np.array([class_of[box["category_id"]] for box in objects], dtype=np.int64),
        object_places=np.array([place_of[box["image_id"]] for box in objects], dtype=np.int64),
        crowds=np.array([bool(box.get("iscrowd", 0)) for box in objects], dtype=bool),
        found=matched.found,
        found_by=matched.found_by,
        average_precision=np.where(precision[:, 0] > -1, precision.mean(axis=1), np.nan),
    )


class _Matched:
    """What COCO's tool says image by image and category by category, put together."""

    def __init__(self, thresholds: int, detections: int, objects: int) -> None:
        self.hits = np.zeros((thresholds, detections), dtype=bool)
        self.ignored = np.ones((thresholds, detections), dtype=bool)  # what the tool leaves out stays so
        self.found = np.zeros(objects, dtype=bool)
        self.found_by = np.full(detections, -1, dtype=np.int64)

    def add(self, of_pair: dict[str, Any]) -> None:
        """Take in one image and category."""
        detections = np.array(of_pair["dtIds"], dtype=np.int64) - 1
        if len(detections):
            matches = np.asarray(of_pair["dtMatches"], dtype=np.int64)
            self.ignored[:, detections] = np.asarray(of_pair["dtIgnore"], dtype=bool)
            self.hits[:, detections] = (matches > 0) & ~self.ignored[:, detections]
            self.found_by[detections] = np.where(self.hits[0, detections], matches[0] - 1, -1)
        objects = np.array(of_pair["gtIds"], dtype=np.int64) - 1
        if len(objects):
            self.found[objects] = np.asarray(of_pair["gtMatches"])[0] > 0


def _evaluated(
    objects: list[dict[str, Any]], found: list[dict[str, Any]], num_images: int, num_categories: int
) -> COCOeval:
    """COCO's evaluation of boxes of any area, matched and accumulated."""
    images = [{"id": place} for place in range(num_images)]
    categories = [{"id": number} for number in range(num_categories)]
    with contextlib.redirect_stdout(io.StringIO()):
        pair = []
        for boxes in (objects, found):
            coco = COCO()
            coco.dataset = {"images": images, "categories": categories, "annotations": boxes}
            coco.createIndex()
            pair.append(coco)
        evaluation = COCOeval(*pair, "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _numbered(box: dict[str, Any], number: int, place_of: dict[Any, int], class_of: dict[Any, int]) -> dict[str, Any]:
    """A box as the tool wants it."""
    area = float(box["bbox"][2] * box["bbox"][3])
    named = {"id": number, "image_id": place_of[box["image_id"]], "category_id": class_of[box["category_id"]]}
    return named | {
        "bbox": copy.copy(box["bbox"]),
        "area": area,
        "iscrowd": int(box.get("iscrowd", 0) or 0),
        "score": box.get("score"),
    }


def _boxes(boxes: list[dict[str, Any]]) -> Floats:
    return np.array([box["bbox"] for box in boxes], dtype=np.float64).reshape(-1, 4)
