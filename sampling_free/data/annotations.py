"""The check that every annotation file passes before a detector trains on it.

A box that a host drops without a word, or a class that it trains as background, costs hours; here every problem of a
file is found at once and named. By default what can be mended is, bad annotations are dropped, and both are counted;
`strict` refuses the file.
"""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampling_free.data.boxes import are_shares, check_boxes
from sampling_free.data.categories import check_categories
from sampling_free.data.image_entries import check_images
from sampling_free.data.problems import Problems, printable
from sampling_free.data.values import read_json
from sampling_free.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckedAnnotations:
    """A COCO dictionary in which nothing is broken.

    Attributes:
        coco: `images`, `annotations` (boxes as float XYWH in pixels, ids 1, 2, ...) and `categories` sorted by id.
        problems: what was found, and mended or dropped.
    """

    coco: dict[str, list[dict[str, Any]]]
    problems: Problems

    @property
    def has_objects(self) -> bool:
        """Whether there is a box that is none of a crowd: without one there is nothing to learn, and no AP."""
        return any(not box["iscrowd"] for box in self.coco["annotations"])

    @property
    def summary(self) -> str:
        """One sentence: images, boxes, images without boxes, crowds, what was mended or dropped."""
        images, boxes = self.coco["images"], self.coco["annotations"]
        empty = len(images) - len({box["image_id"] for box in boxes})
        crowds = Counter(box["category_id"] for box in boxes if box["iscrowd"])
        crowd = f", {crowds.total()} of them of crowds ({self._by_class(crowds, zeros=False)})" if crowds else ""
        outcome = f"; {self.problems.outcome}" if self.problems.outcome else ""
        counts = self._by_class(Counter(box["category_id"] for box in boxes))
        return f"{len(images)} images ({empty} without boxes), {len(boxes)} boxes ({counts}){crowd}{outcome}"

    def _by_class(self, counts: Counter, *, zeros: bool = True) -> str:
        named = [(category["name"], counts[category["id"]]) for category in self.coco["categories"]]
        parts = [f"{printable(name)} {count}" for name, count in named if count or zeros]
        return ", ".join(parts[:8]) + (", ..." if len(parts) > 8 else "")


def check_annotations(
    annotations: str | Path | dict[str, Any],
    image_folder: str | Path | None = None,
    *,
    num_classes: int | None = None,
    masks: bool = False,
    strict: bool = False,
    allow_outside: bool = False,
    source: str | None = None,
) -> CheckedAnnotations:
    """Check a COCO annotation file (or its content), mend what can be mended, and drop what is broken.

    An image is dropped that has no file, whose file cannot be read or has another size. A box is dropped that reaches
    more than one pixel out of its image or has no area, whose coordinates are not four finite numbers, of an unknown
    category, of no image that is left, or that stands there twice. Absent sizes are taken from the files, absent areas
    from the boxes. Annotations are numbered anew.

    Args:
        annotations: path of a COCO json file, or its content.
        image_folder: where the images lie; None does not look for them.
        num_classes: how many categories the model has room for.
        masks: whether every annotation must have a mask, as polygons or COCO's run lengths.
        strict: stop at any problem, instead of mending and dropping.
        allow_outside: whether file names may lead out of the image folder.
        source: how to name the file in messages; default its path.

    Raises:
        UserError: the file is missing or no COCO file, there are more categories than `num_classes`, no image or no
            category is left, all boxes are shares of their images, an image lies outside of the folder, or `strict` and
            anything is wrong. All problems are named together.
    """
    source = source or (str(annotations) if not isinstance(annotations, dict) else "annotations")
    content = annotations if isinstance(annotations, dict) else read_json(Path(annotations))
    if isinstance(content, dict):
        content = {"annotations": []} | content  # COCO's test sets have no such list
    problems = Problems(source)
    _check_sections(content, source)
    categories = check_categories(content["categories"], problems)
    images = check_images(content["images"], image_folder, problems, allow_outside=allow_outside)
    boxes = check_boxes(content["annotations"], images, categories, problems, masks=masks)
    fatal = _fatal(images, categories, image_folder, num_classes)
    if are_shares(boxes, images):
        fatal = "has boxes that all lie in [0, 1]: they are shares of their images; write them in pixels"
    if fatal or (strict and problems):
        listing = f"\n{problems}" if problems else ""
        raise UserError(f"{source} {fatal or 'has problems, and strict is set:'}{listing}")
    if problems:
        logger.warning("%s: %s%s\n%s", source, problems.outcome or "nothing dropped", problems.price, problems)
    coco = {"images": list(images.values()), "annotations": boxes, "categories": list(categories.values())}
    return CheckedAnnotations(coco, problems)


def _check_sections(content: Any, source: str) -> None:
    for name in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise UserError(f"{source} is no COCO detection file: it has no list {name!r}")
        if not all(isinstance(entry, dict) for entry in content[name]):
            raise UserError(f"{source} is no COCO detection file: an entry of {name!r} is no object")


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
