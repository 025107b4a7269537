"""VOC's layout in a folder: classes and splits are found in its files."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sampling_free.data.voc import read_voc
from sampling_free.errors import UserError


def read_voc_folder(path: Path) -> tuple[str, dict[str, dict[str, Any]]] | None:
    """Content of a folder with `Annotations/`, `JPEGImages/` and `ImageSets/Main/`; returns as `read_coco_folder`.

    Raises:
        UserError: there are annotations, but no list of images.
    """
    if not path.is_dir() or not any(path.glob("Annotations/*.xml")):
        return None
    lists = [file.stem for file in sorted(path.glob("ImageSets/Main/*.txt"))]
    lists = [name for name in lists if name in ("train", "val", "test", "trainval")] or lists[:1]
    if not lists:
        raise UserError(
            f"{path} has Annotations/ but no list of images; write the names of all images, without .jpg, into "
            f"{path}/ImageSets/Main/train.txt"
        )
    classes = _classes(path)
    return "VOC's layout", {name: _read(path, name, classes) for name in lists}


def _read(path: Path, split: str, classes: list[str]) -> dict[str, Any]:
    return read_voc([(path, split)], classes)


def _classes(path: Path) -> list[str]:
    """The names of all objects, sorted."""
    names: set[str] = set()
    for file in path.glob("Annotations/*.xml"):
        try:
            root = ElementTree.parse(file).getroot()
        except (OSError, ElementTree.ParseError):
            continue  # the list that names it says so
        names |= {(item.findtext("name") or "").strip() for item in root.iter("object")}
    return sorted(names - {""})
