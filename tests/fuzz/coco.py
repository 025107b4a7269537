"""COCO files: what is kept is checked by other rules than those of the check itself."""

import copy
import json
import math
import random
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from sampling_free.data import check_annotations
from tests.fuzz.values import change, damaged

SQUARE = [[2, 3, 12, 3, 12, 11, 2, 11]]
WHOLE = {
    "images": [{"id": i, "file_name": f"{i}.png", "height": 32, "width": 40} for i in (1, 2, 3)],
    "annotations": [
        {"id": i, "image_id": 1 + i % 3, "category_id": 5 + 2 * (i % 2), "bbox": [2, 3, 10, 8], "area": 80}
        | {"iscrowd": int(i == 4), "segmentation": SQUARE}
        for i in range(1, 7)
    ],
    "categories": [{"id": 7, "name": "cat"}, {"id": 5, "name": "dog"}],
}


def prepare(folder: Path) -> None:
    """The images."""
    for image in WHOLE["images"]:
        Image.new("RGB", (40, 32)).save(folder / image["file_name"])


def run(folder: Path, draw: random.Random) -> None:
    """One file."""
    content = copy.deepcopy(WHOLE)
    for _ in range(draw.randrange(5)):
        change(content, draw)
    text = json.dumps(content).encode()
    if draw.random() < 0.3:
        text = damaged(text, draw)
        content = None
    file = folder / "a.json"
    file.write_bytes(text)
    masks, strict = draw.random() < 0.5, draw.random() < 0.1
    checked = check_annotations(file, folder, masks=masks, strict=strict)
    assert checked.summary.isprintable()
    _check(checked.coco, masks=masks)
    if content is not None:
        _check_counts(checked, content)


def _check(coco, *, masks):
    """Everything that is kept can be trained on and evaluated."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in coco["images"]}
    categories = [category["id"] for category in coco["categories"]]
    assert len(sizes) == len(coco["images"]) and len({c["name"] for c in coco["categories"]}) == len(categories)
    assert categories == sorted(set(categories)) and set(sizes.values()) == {(32, 40)}
    for number, box in enumerate(coco["annotations"], start=1):
        left, top, width, height = box["bbox"]
        assert type(box["id"]) is int and box["id"] == number and box["category_id"] in categories
        assert all(type(value) is float and math.isfinite(value) for value in box["bbox"])
        assert 0 <= left < left + width <= 40 and 0 <= top < top + height <= 32
        assert box["iscrowd"] in (0, 1) and math.isfinite(box["area"]) and box["area"] > 0
        if masks:
            assert box["image_id"] in sizes and _drawn(box["segmentation"]).any()


def _drawn(mask):
    if isinstance(mask, dict):
        runs = mask if isinstance(mask["counts"], str) else coco_mask.frPyObjects(mask, 32, 40)
        return np.asarray(coco_mask.decode(runs))
    assert all(len(polygon) >= 6 and np.isfinite(np.array(polygon, float)).all() for polygon in mask)
    return np.ones(1)  # how polygons are drawn is the host's affair


def _check_counts(checked, content):
    """Nothing goes uncounted, and what nobody damaged stays."""
    boxes, images = content.get("annotations", []), content["images"]
    assert len(checked.coco["annotations"]) + checked.problems.dropped == len(boxes)
    assert len(checked.coco["images"]) + checked.problems.dropped_images == len(images)
    assert all(checked.problems.places.values())
    kept = [(box["image_id"], box["category_id"], tuple(box["bbox"])) for box in checked.coco["annotations"]]
    for box in WHOLE["annotations"]:
        image = WHOLE["images"][box["image_id"] - 1]
        category = next(c for c in WHOLE["categories"] if c["id"] == box["category_id"])
        first = [i for i in images if i.get("id") == image["id"]][:1] == [image]
        named = [c for c in content["categories"] if c.get("id") == category["id"]][:1] == [category]
        if box in boxes and first and named:
            assert (box["image_id"], box["category_id"], tuple(box["bbox"])) in kept
