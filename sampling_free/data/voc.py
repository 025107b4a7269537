"""PASCAL VOC's layout read into COCO's: one checked dictionary whatever the data set's format."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sampling_free.errors import UserError


def read_voc(
    splits: Sequence[tuple[str | Path, str]], categories: Sequence[str], *, difficult_as_crowd: bool = True
) -> dict[str, list[dict[str, Any]]]:
    """Read VOC folders as the content of one COCO file; pass it to `check_annotations`.

    VOC's corners are 1-based and inclusive; a box from 1 to w covers an image of width w, so XYWH is
    `(xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1)`.

    Args:
        splits: (folder, name) pairs: the folder holds `JPEGImages/`, `Annotations/` and `ImageSets/Main/<name>.txt`.
            Several are joined, as in VOC 07+12.
        categories: class names; they get the ids 1, 2, ... in this order.
        difficult_as_crowd: objects marked difficult neither train nor count in evaluation.

    Raises:
        UserError: files are missing or are no VOC annotations; it names the first few and says how many.
    """
    ids = {name: index for index, name in enumerate(categories, start=1)}
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    broken: list[str] = []
    for folder, split in splits:
        for stem in _stems(Path(folder), split):
            try:
                root = ElementTree.parse(Path(folder) / "Annotations" / f"{stem}.xml").getroot()
            except (OSError, ElementTree.ParseError) as error:
                broken.append(f"annotation {folder}/Annotations/{stem}.xml cannot be read: {error}")
                continue
            images.append(_image(root, Path(folder), stem, image_id=len(images) + 1))
            for number, item in enumerate(root.iter("object"), start=1):
                difficult = difficult_as_crowd and item.findtext("difficult", "0").strip() == "1"
                name = item.findtext("name", "").strip()
                boxes.append(
                    {
                        "id": len(boxes) + 1,
                        "image_id": len(images),
                        "category_id": ids.get(name, name),  # an unknown name is found by the check
                        "bbox": _box(item),
                        "iscrowd": int(difficult),
                        "source": f"{stem}.xml, object {number}",
                    }
                )
    if broken:
        more = f"; and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise UserError(f"{'; '.join(broken[:3])}{more}")
    named = [{"id": index, "name": name} for name, index in ids.items()]
    return {"images": images, "annotations": boxes, "categories": named}


def _stems(folder: Path, split: str) -> list[str]:
    path = folder / "ImageSets" / "Main" / f"{split}.txt"
    try:
        return [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise UserError(f"there is no image list {path}; check the data set's root and split") from error


def _image(root: ElementTree.Element, folder: Path, stem: str, *, image_id: int) -> dict[str, Any]:
    name = f"{stem}.jpg"
    if not (folder / "JPEGImages" / name).is_file():
        name = root.findtext("filename", name)
    size = {side: _number(root.findtext(f"size/{side}")) for side in ("height", "width")}
    return {"id": image_id, "file_name": str(folder / "JPEGImages" / name)} | {
        side: int(value) if value is not None and math.isfinite(value) else None for side, value in size.items()
    }


def _box(item: ElementTree.Element) -> list[float | None]:
    corners = [_number(item.findtext(f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax")]
    if any(corner is None for corner in corners):
        return list(corners)
    left, top, right, bottom = (float(corner) for corner in corners if corner is not None)
    return [left - 1, top - 1, right - left + 1, bottom - top + 1]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
