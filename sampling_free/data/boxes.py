"""The check of an annotation file's boxes: what can be mended is, what is broken is dropped, all is counted."""

import json
from typing import Any

import numpy as np

from sampling_free.data.masks import check_mask
from sampling_free.data.problems import Problems
from sampling_free.data.values import is_finite, is_number, whole

Entry = dict[str, Any]

_MARGIN = 1.0  # pixels that a box may reach out of its image: rounding of the annotation tool
_LARGEST = float(np.finfo(np.float32).max) / 4


def check_boxes(
    entries: list[Entry], images: dict[int, Entry], categories: dict[int, Entry], problems: Problems, *, masks: bool
) -> list[Entry]:
    """The boxes that can be used, numbered 1, 2, ... as their ids.

    The file's own ids are no one's names, and some of them would be wrong: COCO's tool takes an id of 0 for "no match".

    Args:
        entries: of the file.
        images: by id.
        categories: by id.
        problems: takes what is wrong.
        masks: whether every box must have a mask.
    """
    kept: list[Entry] = []
    seen: dict[Any, Entry] = {}
    for entry in entries:
        box, mended = _mended(entry)
        fault = _fault(box, images, categories)
        if not fault and masks:
            image = images[box["image_id"]]
            mask, splinter, fault = check_mask(box.get("segmentation"), (image["height"], image["width"]))
            box["segmentation"] = mask
            mended += [splinter] * bool(splinter)
        if not fault and _is_repeated(entry, seen):
            fault = "annotation that stands in the file before"
        if fault:
            problems.add(fault, _place(entry))
            problems.dropped += 1
            continue
        for kind in mended:
            problems.mend(kind, _place(entry))
        box["bbox"] = _clipped(box["bbox"], images[box["image_id"]])
        box.setdefault("area", box["bbox"][2] * box["bbox"][3])
        kept.append(box | {"id": len(kept) + 1})
    return kept


def are_shares(boxes: list[Entry], images: dict[int, Entry]) -> bool:
    """Whether all boxes lie in [0, 1]: they are shares of their images, and not pixels."""
    larger = all(min(images[box["image_id"]][side] for side in ("width", "height")) > 1 for box in boxes)
    return (
        bool(boxes) and larger and all(max(box["bbox"][i] + box["bbox"][i + 2] for i in (0, 1)) <= 1 for box in boxes)
    )


def _mended(entry: Entry) -> tuple[Entry, list[str]]:
    """A copy with numbers where a number is meant, and what was changed; keys that are absent are none of it."""
    box, mended = dict(entry), []
    for name in ("image_id", "category_id"):
        if isinstance(entry.get(name), float) and (number := whole(entry[name])) is not None:
            box[name] = number
            mended.append(f"annotation's {name} with a decimal point")
    crowd = box["iscrowd"] = entry.get("iscrowd", 0)
    if crowd in (None, "", "0", "1", False, True):
        box["iscrowd"] = int(crowd or 0)
        if isinstance(crowd, str | None):
            mended.append("iscrowd that is no number")
    if "area" in entry and not (is_finite(entry["area"]) and entry["area"] > 0):
        del box["area"]
        mended.append("area that is no positive number, now its box's")
    return box, mended


def _fault(entry: Entry, images: dict[int, Entry], categories: dict[int, Entry]) -> str:
    """What is wrong with one annotation, or ""."""
    if whole(entry.get("image_id")) is None or entry["image_id"] not in images:
        return "annotation of an unknown or dropped image"
    if whole(entry.get("category_id")) is None or entry["category_id"] not in categories:
        return "unknown category"
    if entry["iscrowd"] not in (0, 1):
        return "iscrowd that is neither 0 nor 1"
    return _box_fault(entry.get("bbox"), images[entry["image_id"]])


def _box_fault(box: Any, image: Entry) -> str:
    if not isinstance(box, list) or len(box) != 4 or not all(is_number(value) for value in box):
        return "bbox that is not four numbers"
    if not all(is_finite(value) and abs(value) < _LARGEST for value in box):
        return "bbox that is not finite"
    x, y, width, height = map(float, box)
    if not (np.float32(x + width) > np.float32(x) and np.float32(y + height) > np.float32(y)):
        return "bbox without area"  # hosts compute in float32, where a sliver may have none
    if min(x, y) < -_MARGIN or x + width > image["width"] + _MARGIN or y + height > image["height"] + _MARGIN:
        return "bbox outside its image"
    rest = np.array(_clipped(box, image), np.float32)
    return "" if (rest[:2] + rest[2:] > rest[:2]).all() else "bbox outside its image"


def _clipped(box: list[float], image: Entry) -> list[float]:
    """XYWH with the pixel that it may reach out of its image cut off."""
    left, top = max(0.0, float(box[0])), max(0.0, float(box[1]))
    right, bottom = min(float(image["width"]), box[0] + box[2]), min(float(image["height"]), box[1] + box[3])
    return [left, top, right - left, bottom - top]


def _is_repeated(entry: Entry, seen: dict[Any, Entry]) -> bool:
    """Whether an annotation of the same id says the same of the same image."""
    if "id" not in entry:
        return False
    former = seen.setdefault(json.dumps(entry["id"], default=str), entry)
    return former is not entry and former == entry


def _place(entry: Entry) -> str:
    where = entry.get("source") or f"annotation {entry.get('id')} of image {entry.get('image_id')}"
    return f"{where}, category {entry.get('category_id')}, bbox {entry.get('bbox')}"
