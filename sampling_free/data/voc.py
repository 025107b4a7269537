"""PASCAL VOC's layout read into COCO's: one checked dictionary whatever the data set's format."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any
from xml.etree import ElementTree

from sampling_free.data.categories import quoted
from sampling_free.data.image_entries import is_outside
from sampling_free.data.images import SUFFIXES
from sampling_free.data.problems import Problems, printable
from sampling_free.data.values import decoded, whole
from sampling_free.errors import UserError

logger = logging.getLogger(__name__)

_NAMED = 3  # broken files in a message
_ENCODING = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_IN_IMAGE = {"1", "0", "-1"}  # second field of a class's list: whether it is in the image, or is difficult there


def read_voc(
    splits: Sequence[tuple[str | Path, str]],
    categories: Sequence[str],
    *,
    difficult_as_crowd: bool = True,
    leave_out_unlisted: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """Read VOC folders as the content of one COCO file; pass it to `check_annotations`.

    VOC's corners are 1-based and inclusive; a box from 1 to w covers an image of width w, so XYWH is
    `(xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1)`. The image of `b.xml` is the one named b.

    Args:
        splits: (folder, name) pairs: the folder holds `JPEGImages/`, `Annotations/` and `ImageSets/Main/<name>.txt`.
            Several are joined, as in VOC 07+12.
        categories: class names; they get the ids 1, 2, ... in this order.
        difficult_as_crowd: objects marked difficult neither train nor count in evaluation.
        leave_out_unlisted: leave out objects of other classes, instead of refusing them: they train as background.

    Raises:
        UserError: files are missing or are no VOC annotations, or there are objects of other classes; it names the
            first few and says how many.
    """
    ids = {name: index for index, name in enumerate(categories, start=1)}
    source = " and ".join(f"{folder} ({split})" for folder, split in splits)
    notes = Problems(source)
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    unlisted: Counter[str] = Counter()
    for folder, stem, root in _annotations(splits, notes):
        images.append(_image(root, folder, stem, notes) | {"id": len(images) + 1})
        for number, item in enumerate(root.iter("object"), start=1):
            name = (item.findtext("name") or "").strip()
            if name not in ids:
                unlisted[name] += 1
                continue
            place = {"image_id": len(images), "source": f"{stem}.xml, object {number}"}
            difficult = difficult_as_crowd and (item.findtext("difficult") or "").strip() == "1"
            boxes.append(place | {"category_id": ids[name], "bbox": _box(item), "iscrowd": int(difficult)})
    _settle_unlisted(unlisted, ids, source, leave_out=leave_out_unlisted)
    if notes:
        logger.warning("%s: nothing dropped\n%s", source, notes)
    named = [{"id": index, "name": name} for name, index in ids.items()]
    return {"images": images, "annotations": boxes, "categories": named}


def _annotations(
    splits: Sequence[tuple[str | Path, str]], notes: Problems
) -> Iterator[tuple[Path, str, ElementTree.Element]]:
    """Folder, name and content of every annotation; what is broken is named at the end."""
    broken: list[str] = []
    stems = [(Path(folder), stem) for folder, split in splits for stem in _stems(Path(folder), split, notes)]
    for folder, stem in stems:
        file = folder / "Annotations" / f"{stem}.xml"
        try:
            root = _parsed(file)
        except (OSError, ValueError, SyntaxError, MemoryError) as error:
            broken.append(f"annotation {printable(str(file))} cannot be read: {error}")
        else:
            yield folder, stem, root
    if broken:
        more = f"; and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
        raise UserError(f"{'; '.join(broken[:_NAMED])}{more}")


def _settle_unlisted(unlisted: Counter[str], listed: dict[str, int], source: str, *, leave_out: bool) -> None:
    if not unlisted:
        return
    counts = quoted(f"{name or '(no name)'} {count}" for name, count in unlisted.most_common())
    found = f"{source} has objects of classes that are not listed: {counts}"
    if not leave_out:
        raise UserError(
            f"{found}; the classes are {quoted(listed)}: list them too, or set leave_out_unlisted=true, and they train "
            f"as background"
        )
    logger.warning("%s; they are left out, and train as background", found)


def _stems(folder: Path, split: str, notes: Problems) -> list[str]:
    """Names of a list's images, each once."""
    path = folder / "ImageSets" / "Main" / f"{split}.txt"
    try:
        lines = decoded(path.read_bytes()).splitlines()
    except OSError as error:
        raise UserError(f"there is no image list {path}; check the data set's root and split") from error
    except ValueError as error:
        raise UserError(f"image list {path} cannot be read: {error}") from error
    stems: dict[str, None] = {}
    for line in filter(None, map(str.strip, lines)):
        stem = _stem(line, folder)
        if is_outside(stem):
            raise UserError(f"image list {path} names {printable(stem)}, which lies outside of {folder}; mend the list")
        if stem in stems:
            notes.mend("image that its list names twice, now once", f"{stem} in {path}")
        stems[stem] = None
    return list(stems)


def _stem(line: str, folder: Path) -> str:
    """The name in a line: all of it, or what stands before the field of a class's list."""
    name, _, field = line.replace("\t", " ").rpartition(" ")
    if name and field in _IN_IMAGE and not os.path.exists(folder / "Annotations" / f"{line}.xml"):
        return name.strip()
    return line


def _parsed(file: Path) -> ElementTree.Element:
    """An XML file in the encoding that it declares; expat itself knows few of them."""
    content = file.read_bytes()
    declared = _ENCODING.match(content.lstrip()[:200])
    return ElementTree.fromstring(decoded(content, declared.group(1).decode() if declared else "utf-8"))


def _image(root: ElementTree.Element, folder: Path, stem: str, notes: Problems) -> dict[str, Any]:
    """The image's entry. `stem` is kept: detectron2's evaluator of VOC knows images by it."""
    said = PureWindowsPath(root.findtext("filename") or "").name  # a path of any system
    name = _file_of(folder / "JPEGImages", stem)
    if name is None:
        name = said or f"{stem}.jpg"
        if said and PureWindowsPath(said).stem != stem:
            notes.mend("annotation without an image of its name, now with that of <filename>", f"{stem}.xml: {said}")
    elif said and stem not in (said, PureWindowsPath(said).stem):
        notes.mend("annotation whose <filename> is of another image, now with that of its name", f"{stem}.xml: {said}")
    entry: dict[str, Any] = {"file_name": str(folder / "JPEGImages" / name), "stem": stem}
    for side in ("height", "width"):
        value = _number(root.findtext(f"size/{side}"))
        entry[side] = whole(value)
    return entry


def _file_of(folder: Path, stem: str) -> str | None:
    for suffix in (".jpg", *sorted(SUFFIXES - {".jpg"})):
        for name in (f"{stem}{suffix}", f"{stem}{suffix.upper()}"):
            if os.path.exists(folder / name):
                return name
    return None


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
