"""The check that every annotation file passes before a detector trains on it.

A box that a host drops without a word, or a class that it trains as background, costs hours; here every problem of a
file is found at once and named. By default bad annotations are dropped and counted; `strict` refuses the file.
"""

import json
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampling_free.errors import UserError

logger = logging.getLogger(__name__)

_EXAMPLES = 3  # of each kind of problem are named
_MARGIN = 1.0  # pixels that a box may reach out of its image: rounding of the annotation tool


@dataclass
class Problems:
    """What is wrong with an annotation file: kinds of problems, each with the places where it was found."""

    source: str
    places: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    dropped: int = 0

    def add(self, kind: str, place: str) -> None:
        """Note one problem."""
        self.places[kind].append(place)

    def __bool__(self) -> bool:
        return bool(self.places)

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
        dropped = f"; {self.problems.dropped} bad annotations dropped" if self.problems.dropped else ""
        return f"{len(images)} images ({empty} without boxes), {len(boxes)} boxes ({classes}{more}){dropped}"


def check_annotations(
    annotations: str | Path | dict[str, Any],
    image_folder: str | Path | None = None,
    *,
    num_classes: int | None = None,
    strict: bool = False,
    source: str | None = None,
) -> CheckedAnnotations:
    """Check a COCO annotation file (or its content) and drop what is broken.

    A box more than one pixel outside its image is dropped, as is one without area, with a coordinate that is not a
    finite number, of an unknown image or category, or whose id was used before. Images of which no file exists are
    always an error: nothing can be trained on them.

    Args:
        annotations: path of a COCO json file, or its content.
        image_folder: where the images lie; None does not look for them.
        num_classes: how many categories the model has room for.
        strict: stop at any problem, instead of dropping bad annotations.
        source: how to name the file in messages; default its path.

    Raises:
        UserError: the file is missing or no COCO file, images are missing, there are more categories than
            `num_classes`, there is no image, or `strict` and anything is wrong. All problems are named together.
    """
    source = source or (str(annotations) if not isinstance(annotations, dict) else "annotations")
    content = annotations if isinstance(annotations, dict) else _read(Path(annotations))
    problems = Problems(source)
    _check_sections(content, source)
    categories = _check_categories(content["categories"], problems)
    images = _check_images(content["images"], problems)
    boxes = _check_boxes(content["annotations"], images, categories, problems)
    fatal = _fatal(images, categories, image_folder, num_classes, source)
    if fatal or (strict and problems):
        listing = f"\n{problems}" if problems else ""
        raise UserError((fatal or f"{source} has problems, and strict is set:") + listing)
    if problems:
        logger.warning("%s: %d bad annotations dropped\n%s", source, problems.dropped, problems)
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
            categories[entry["id"]] = entry
    return dict(sorted(categories.items()))


def _check_images(entries: list[dict[str, Any]], problems: Problems) -> dict[int, dict[str, Any]]:
    images: dict[int, dict[str, Any]] = {}
    for entry in entries:
        place = f"image {entry.get('id')} ({entry.get('file_name')})"
        if not _is_int(entry.get("id")) or not isinstance(entry.get("file_name"), str):
            problems.add("image without an integer id and a file name", place)
        elif entry["id"] in images:
            problems.add("duplicate image id", place)
        elif not all(_is_int(entry.get(side)) and entry[side] > 0 for side in ("height", "width")):
            problems.add("image without a positive integer height and width", place)
        else:
            images[entry["id"]] = entry
    return images


def _check_boxes(
    entries: list[dict[str, Any]],
    images: dict[int, dict[str, Any]],
    categories: dict[int, dict[str, Any]],
    problems: Problems,
) -> list[dict[str, Any]]:
    kept, ids = [], set()
    for entry in entries:
        fault = _fault(entry, images, categories)
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
    box = entry.get("bbox")
    if not _is_int(entry.get("id")):
        return "annotation without an integer id"
    if entry.get("image_id") not in images:
        return "annotation of an unknown image"
    if entry.get("category_id") not in categories:
        return "unknown category"
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        return "bbox that is not four numbers"
    if not all(math.isfinite(value) for value in box):
        return "bbox that is not finite"
    x, y, width, height = box
    if width <= 0 or height <= 0:
        return "bbox without area"
    image = images[entry["image_id"]]
    if min(x, y) < -_MARGIN or x + width > image["width"] + _MARGIN or y + height > image["height"] + _MARGIN:
        return "bbox outside its image"
    return None


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
    source: str,
) -> str | None:
    """What cannot be mended by dropping annotations, in a sentence, or None."""
    if not images:
        return f"{source} has no usable image: the data set is empty"
    if not categories:
        return f"{source} has no usable category"
    if num_classes is not None and len(categories) > num_classes:
        return f"{source} has {len(categories)} categories, but the model has room for {num_classes}"
    missing = _missing_files(images.values(), folder) if folder is not None else []
    if missing:
        more = f" and {len(missing) - _EXAMPLES} more" if len(missing) > _EXAMPLES else ""
        return (
            f"{source} names images that do not exist: {', '.join(missing[:_EXAMPLES])}{more}; check the image folder"
        )
    return None


def _missing_files(images: Iterable[dict[str, Any]], folder: str | Path) -> list[str]:
    root = Path(folder)
    if not root.is_dir():
        return [f"{root} (the folder)"]
    return [str(root / image["file_name"]) for image in images if not (root / image["file_name"]).is_file()]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
