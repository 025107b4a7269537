"""The check that every annotation file passes before a detector trains on it.

A box that a host drops without a word, or a class that it trains as background, costs hours; here every problem of a
file is found at once and named. By default bad annotations are dropped and counted; `strict` refuses the file.
"""

import json
import logging
import math
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sampling_free.errors import UserError

logger = logging.getLogger(__name__)

_EXAMPLES = 3  # of each kind of problem are named
_MARGIN = 1.0  # pixels that a box may reach out of its image: rounding of the annotation tool


@dataclass
class Problems:
    """What is wrong with an annotation file: kinds of problems, each with the places where it was found."""

    source: str
    places: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    dropped: int = 0  # annotations
    dropped_images: int = 0

    def add(self, kind: str, place: str) -> None:
        """Note one problem."""
        self.places[kind].append(place)

    def __bool__(self) -> bool:
        return bool(self.places)

    @property
    def outcome(self) -> str:
        """What became of them: "3 bad annotations and 1 bad image dropped"; empty where nothing was dropped."""
        counts = {"bad annotation": self.dropped, "bad image": self.dropped_images}
        parts = [f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count]
        return f"{' and '.join(parts)} dropped" if parts else ""

    def __str__(self) -> str:
        """One line a kind: how many, and the first few."""
        lines = []
        for kind, places in self.places.items():
            more = f" and {len(places) - _EXAMPLES} more" if len(places) > _EXAMPLES else ""
            lines.append(f"  {len(places)} x {kind}: {'; '.join(places[:_EXAMPLES])}{more}")
        return "\n".join(lines)


@dataclass(frozen=True)
class CheckedAnnotations:
    """A COCO dictionary in which nothing is broken.

    Attributes:
        coco: `images`, `annotations` (boxes as float XYWH in pixels) and `categories` sorted by id.
        problems: what was found, and dropped.
    """

    coco: dict[str, list[dict[str, Any]]]
    problems: Problems

    @property
    def summary(self) -> str:
        """One sentence: images, boxes, images without boxes, what was dropped."""
        images, boxes = self.coco["images"], self.coco["annotations"]
        empty = len(images) - len({box["image_id"] for box in boxes})
        counts = Counter(box["category_id"] for box in boxes)
        classes = ", ".join(f"{category['name']} {counts[category['id']]}" for category in self.coco["categories"][:8])
        more = ", ..." if len(self.coco["categories"]) > 8 else ""
        outcome = f"; {self.problems.outcome}" if self.problems.outcome else ""
        return f"{len(images)} images ({empty} without boxes), {len(boxes)} boxes ({classes}{more}){outcome}"


def check_annotations(
    annotations: str | Path | dict[str, Any],
    image_folder: str | Path | None = None,
    *,
    num_classes: int | None = None,
    masks: bool = False,
    strict: bool = False,
    source: str | None = None,
) -> CheckedAnnotations:
    """Check a COCO annotation file (or its content) and drop what is broken.

    An image is dropped of which there is no file or whose file has another size. A box is dropped that reaches more
    than one pixel out of its image or has no area, whose coordinates are not four finite numbers, of an unknown
    category, of no image that is left, or whose id was used before.

    Args:
        annotations: path of a COCO json file, or its content.
        image_folder: where the images lie; None does not look for them.
        num_classes: how many categories the model has room for.
        masks: whether every annotation must have a mask, as polygons or COCO's run lengths.
        strict: stop at any problem, instead of dropping bad annotations.
        source: how to name the file in messages; default its path.

    Raises:
        UserError: the file is missing or no COCO file, there are more categories than `num_classes`, no image or no
            category is left, or `strict` and anything is wrong. All problems are named together.
    """
    source = source or (str(annotations) if not isinstance(annotations, dict) else "annotations")
    content = annotations if isinstance(annotations, dict) else _read(Path(annotations))
    if isinstance(content, dict):
        content = {"annotations": []} | content  # COCO's test sets have no such list
    problems = Problems(source)
    _check_sections(content, source)
    categories = _check_categories(content["categories"], problems)
    images = _check_images(content["images"], image_folder, problems)
    boxes = _check_boxes(content["annotations"], images, categories, problems, masks=masks)
    fatal = _fatal(images, categories, image_folder, num_classes)
    if fatal or (strict and problems):
        listing = f"\n{problems}" if problems else ""
        raise UserError(f"{source} {fatal or 'has problems, and strict is set:'}{listing}")
    if problems:
        logger.warning("%s: %s\n%s", source, problems.outcome or "nothing dropped", problems)
    coco = {"images": list(images.values()), "annotations": boxes, "categories": list(categories.values())}
    return CheckedAnnotations(coco, problems)


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"there is no annotation file {path}; check the data set's root or annotation path") from error
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"annotation file {path} cannot be read as json: {error}") from error


def _check_sections(content: Any, source: str) -> None:
    for name in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise UserError(f"{source} is no COCO detection file: it has no list {name!r}")
        if not all(isinstance(entry, dict) for entry in content[name]):
            raise UserError(f"{source} is no COCO detection file: an entry of {name!r} is no object")


def _check_categories(entries: list[dict[str, Any]], problems: Problems) -> dict[int, dict[str, Any]]:
    categories: dict[int, dict[str, Any]] = {}
    for entry in entries:
        if not _is_int(entry.get("id")) or not isinstance(entry.get("name"), str):
            problems.add("category without an integer id and a name", str(entry)[:60])
        elif entry["id"] in categories:
            problems.add("duplicate category id", str(entry["id"]))
        else:
            if any(entry["name"] == other["name"] for other in categories.values()):
                problems.add("category of another's name, now with its id behind", f"{entry['name']} {entry['id']}")
                entry = entry | {"name": f"{entry['name']} {entry['id']}"}  # or both would share one AP
            categories[entry["id"]] = entry
    return dict(sorted(categories.items()))


def _check_images(
    entries: list[dict[str, Any]], folder: str | Path | None, problems: Problems
) -> dict[int, dict[str, Any]]:
    images: dict[int, dict[str, Any]] = {}
    with ThreadPoolExecutor(16) as pool:  # most of the time goes into waiting for the disk
        faults = pool.map(lambda entry: _image_fault(entry, folder), entries)
        for entry, fault in zip(entries, faults, strict=True):
            if fault is None and entry["id"] in images:
                fault = "duplicate image id"
            if fault is None:
                images[entry["id"]] = entry
            else:
                path = Path(folder or "") / str(entry.get("file_name"))
                problems.add(fault, f"image {entry.get('id')} ({path})")
                problems.dropped_images += 1
    return images


def _image_fault(entry: dict[str, Any], folder: str | Path | None) -> str | None:
    """What is wrong with one image, or None; only the file's header is read, which takes 50 microseconds."""
    if not _is_int(entry.get("id")) or not isinstance(entry.get("file_name"), str):
        return "image without an integer id and a file name"
    if not all(_is_int(entry.get(side)) and entry[side] > 0 for side in ("height", "width")):
        return "image without a positive integer height and width"
    if folder is None:
        return None
    try:
        with Image.open(Path(folder) / entry["file_name"]) as image:
            return None if image.size == (entry["width"], entry["height"]) else "image whose file has another size"
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return "image without a file"
    except (OSError, SyntaxError):
        return None  # a corrupt file stops the run that wants to read it


def _check_boxes(
    entries: list[dict[str, Any]],
    images: dict[int, dict[str, Any]],
    categories: dict[int, dict[str, Any]],
    problems: Problems,
    *,
    masks: bool,
) -> list[dict[str, Any]]:
    kept, ids = [], set()
    for entry in entries:
        fault = _fault(entry, images, categories)
        if fault is None and masks:
            fault = _mask_fault(entry.get("segmentation"), images[entry["image_id"]])
        if fault is None and entry["id"] in ids:
            fault = "duplicate annotation id"
        if fault is not None:
            problems.add(fault, _place(entry))
            problems.dropped += 1
            continue
        ids.add(entry["id"])
        box = _clipped(entry["bbox"], images[entry["image_id"]])
        kept.append({"area": box[2] * box[3], "iscrowd": 0} | entry | {"bbox": box})
    return kept


def _fault(entry: dict[str, Any], images: dict[int, Any], categories: dict[int, Any]) -> str | None:
    """What is wrong with one annotation, or None."""
    if not _is_int(entry.get("id")):
        return "annotation without an integer id"
    if not _is_int(entry.get("image_id")) or entry["image_id"] not in images:
        return "annotation of an unknown or dropped image"
    if not _is_int(entry.get("category_id")) or entry["category_id"] not in categories:
        return "unknown category"
    if entry.get("iscrowd", 0) not in (0, 1):
        return "iscrowd that is neither 0 nor 1"
    if not _is_number(entry.get("area", 0)) or not math.isfinite(entry.get("area", 0)):
        return "area that is no finite number"
    return _box_fault(entry.get("bbox"), images[entry["image_id"]])


def _box_fault(box: Any, image: dict[str, Any]) -> str | None:
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        return "bbox that is not four numbers"
    if not all(math.isfinite(value) for value in box):
        return "bbox that is not finite"
    x, y, width, height = box
    if not (np.float32(x + width) > np.float32(x) and np.float32(y + height) > np.float32(y)):
        return "bbox without area"  # hosts compute in float32, where a sliver may have none
    if min(x, y) < -_MARGIN or x + width > image["width"] + _MARGIN or y + height > image["height"] + _MARGIN:
        return "bbox outside its image"
    if min(_clipped(box, image)[2:]) <= 0:
        return "bbox outside its image"
    return None


def _mask_fault(mask: Any, image: dict[str, Any]) -> str | None:
    """What is wrong with a mask, or None: polygons of at least three corners, or run lengths of the image's size."""
    if isinstance(mask, dict):
        known = isinstance(mask.get("counts"), str | list)
        fits = mask.get("size") == [image["height"], image["width"]]
        return None if known and fits else "segmentation whose run lengths do not fit its image"
    if not isinstance(mask, list) or not mask or not all(map(_is_polygon, mask)):
        return "segmentation that is neither polygons nor run lengths"
    return None


def _is_polygon(corners: Any) -> bool:
    numbers = isinstance(corners, list) and all(_is_number(value) and math.isfinite(value) for value in corners)
    return numbers and len(corners) >= 6 and len(corners) % 2 == 0


def _clipped(box: list[float], image: dict[str, Any]) -> list[float]:
    """XYWH with the pixel that it may reach out of its image cut off."""
    left, top = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = min(float(image["width"]), box[0] + box[2]), min(float(image["height"]), box[1] + box[3])
    return [left, top, right - left, bottom - top]


def _place(entry: dict[str, Any]) -> str:
    where = entry.get("source") or f"annotation {entry.get('id')} of image {entry.get('image_id')}"
    return f"{where}, category {entry.get('category_id')}, bbox {entry.get('bbox')}"


def _fatal(
    images: dict[int, dict[str, Any]],
    categories: dict[int, dict[str, Any]],
    folder: str | Path | None,
    num_classes: int | None,
) -> str:
    """What cannot be mended by dropping annotations, or nothing."""
    faults = []
    if folder is not None and not Path(folder).is_dir():
        faults.append(f"belongs to the images in {folder}, but there is no such folder")
    elif not images:
        faults.append("has no usable image: the data set is empty")
    if not categories:
        faults.append("has no usable category")
    if num_classes is not None and len(categories) > num_classes:
        faults.append(f"has {len(categories)} categories, but the model has room for {num_classes}")
    return "; it ".join(faults)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
