"""COCO files in a folder: COCO's own arrangement, and that of Roboflow, CVAT and Label Studio."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sampling_free.errors import UserError

_PLACES = ("*.json", "annotations/*.json", "*/*.json", "annotations/*/*.json")
_SECTIONS = ("images", "annotations", "categories")
_LOOKED_AT = 5  # images of a file, to find their folder


def read_coco_folder(path: Path) -> tuple[str, dict[str, dict[str, Any]]] | None:
    """Content of the COCO files at a path.

    Args:
        path: a COCO file, or a folder with some in it, in `annotations/` or in folders of the splits.

    Returns:
        What it is called, and per split its content with the images' paths for file names; None where there is none.

    Raises:
        UserError: a file's images are nowhere, or two files are of one split.
    """
    if path.is_file():
        content = _content(path)
        return None if content is None else ("COCO's format", {"all": _with_paths(path, content, path.parent)})
    files = sorted({file for place in _PLACES for file in path.glob(place)})
    # beside COCO's boxes lie captions and keypoints of the same images
    files = [file for file in files if file.name.startswith("instances_")] or files
    found = {file: content for file in files if (content := _content(file)) is not None}
    if not found:
        return None
    splits: dict[str, dict[str, Any]] = {}
    for file, content in found.items():
        split = _split(file.relative_to(path))
        if split in splits:
            raise UserError(f"{path} has several COCO files for {split}; name the file to train on: {file}")
        splits[split] = _with_paths(file, content, path)
    roboflow = any(file.name == "_annotations.coco.json" for file in found)
    return "COCO's format, exported by Roboflow" if roboflow else "COCO's format", splits


def _content(file: Path) -> dict[str, Any] | None:
    """A file's content, if it is one of detection."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in _SECTIONS):
        return None
    boxed = [annotation for annotation in content["annotations"][:_LOOKED_AT] if isinstance(annotation, dict)]
    if boxed and not any("bbox" in annotation for annotation in boxed):
        return None
    return {name: content[name] for name in _SECTIONS}


def _split(file: Path) -> str:
    """The split that a file's name, or the folder's that it lies in, speaks of."""
    for text in (file.stem, *reversed(file.parent.parts)):
        found = re.search(r"(?<![a-z])(trainval|train|valid|val|test)(?:ation)?(?![a-z])", text.lower())
        if found:
            return {"valid": "val"}.get(found[1], found[1])
    return "all"


def _with_paths(file: Path, content: dict[str, Any], root: Path) -> dict[str, Any]:
    images = [image for image in content["images"] if isinstance(image, dict)]
    names = [str(image.get("file_name", "")).replace("\\", "/") for image in images]
    looked_at = names[:_LOOKED_AT]
    for folder in _folders(file, root):
        if all((folder / name).is_file() for name in looked_at):
            break
    else:
        raise UserError(
            f"the images of {file} are not found: there is no {looked_at[0]} in {root}, beside the file or in a folder "
            f"images/; put the images there"
        )
    renamed = [image | {"file_name": str(folder / name)} for image, name in zip(images, names, strict=True)]
    return content | {"images": renamed}


def _folders(file: Path, root: Path) -> Iterator[Path]:
    """Where the images of a file may lie, the likeliest first."""
    split = file.stem.rpartition("_")[2]
    homes = dict.fromkeys((file.parent, root, file.parent.parent))
    within = dict.fromkeys((".", "images", split, f"images/{split}", "JPEGImages", "images/default"))
    yield from (home / folder for home, folder in itertools.product(homes, within))
