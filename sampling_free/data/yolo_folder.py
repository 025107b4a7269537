"""YOLO's text files: a line an object, `class x y width height` in shares of the image, or the corners of an outline.

Letters: K corners.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from sampling_free.errors import UserError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_NAMES = ("classes.txt", "obj.names", "labels/classes.txt")


def read_yolo_folder(path: Path) -> tuple[str, dict[str, dict[str, Any]]] | None:
    """Content of YOLO's text files; returns as `read_coco_folder`.

    Args:
        path: a folder with `data.yaml`, or with a file of names, one a line, and images; or that yaml file.

    Raises:
        UserError: the yaml names no classes or no images, or a text file cannot be read.
    """
    listing = _listing(path)
    if listing is not None:
        return f"YOLO's layout, described by {listing.name}", _of_listing(listing)
    files = [path / name for name in _NAMES if path.is_dir() and (path / name).is_file()]
    if not files:
        return None
    names = [line.strip() for line in files[0].read_text(encoding="utf-8").splitlines() if line.strip()]
    home = path / "images" if (path / "images").is_dir() else path
    splits = {folder.name: folder for folder in sorted(home.iterdir()) if folder.is_dir() and any(_images_of([folder]))}
    splits = {name: folder for name, folder in splits.items() if name in ("train", "val", "valid", "test")}
    return f"YOLO's layout with {files[0].name}", {
        name: _content(list(_images_of([folder])), names) for name, folder in (splits or {"all": home}).items()
    }


def _listing(path: Path) -> Path | None:
    """The yaml file with classes and splits."""
    files = [path] if path.is_file() else [*sorted(path.glob("*.yaml")), *sorted(path.glob("*.yml"))]
    for file in files:
        if file.suffix in (".yaml", ".yml") and {"names", "train"} <= _mapping(file).keys():
            return file
    return None


def _mapping(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _of_listing(listing: Path) -> dict[str, dict[str, Any]]:
    settings = _mapping(listing)
    names = settings["names"]
    if isinstance(names, dict):
        names = [names[number] for number in sorted(names)]
    if not names:
        raise UserError(f"{listing} names no classes")
    content = {}
    for split in ("train", "val", "test"):
        places = settings.get(split)
        if not places:
            continue
        found = [_place(listing, settings, str(place)) for place in (places if isinstance(places, list) else [places])]
        content[split] = _content(list(_images_of(found)), [str(name) for name in names])
    return content


def _place(listing: Path, settings: dict[str, Any], place: str) -> Path:
    """A folder or list of images, relative to `path` of the yaml file, to the file itself, or to where it once lay."""
    homes = (listing.parent / str(settings.get("path") or ""), listing.parent)
    inner = place.removeprefix("../").removeprefix("./")  # Roboflow's files speak from one folder further down
    for candidate in (home / name for home, name in itertools.product(homes, (place, inner))):
        if candidate.exists():
            return candidate
    raise UserError(f"{listing} speaks of images at {place}, but there is nothing at {homes[0] / place}")


def _images_of(places: list[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_file():  # a list of images
            lines = [line.strip() for line in place.read_text(encoding="utf-8").splitlines() if line.strip()]
            yield from (Path(line) if Path(line).is_absolute() else place.parent / line for line in lines)
        else:
            yield from sorted(file for file in place.rglob("*") if file.suffix.lower() in _SUFFIXES)


def _content(paths: list[Path], names: list[str]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, path in enumerate(paths, start=1):
        width, height = _size(path)
        images.append({"id": number, "file_name": str(path), "width": width, "height": height})
        for line, text in _lines(_labels_of(path)):
            record = _annotation(text, width, height, len(names)) | {"image_id": number, "source": line}
            annotations.append({"id": len(annotations) + 1, "iscrowd": 0} | record)
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError) as error:
        raise UserError(f"image {path} cannot be read ({error}); replace it, or remove it and its labels") from error


def _labels_of(image: Path) -> Path:
    """The text file of an image: beside it, or in `labels` where the image lies in `images`."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        place = len(parts) - 1 - parts[::-1].index("images")
        other = Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
        if other.is_file() or not image.with_suffix(".txt").is_file():
            return other
    return image.with_suffix(".txt")


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    """The place and the text of each line; an image without a label file has no objects."""
    if not file.is_file():
        return
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"labels {file} cannot be read ({error})") from error
    yield from ((f"{file}, line {number}", line) for number, line in enumerate(lines, start=1) if line.strip())


def _annotation(text: str, width: int, height: int, num_classes: int) -> dict[str, Any]:
    """An object of COCO's; what makes no sense is left as it is, for the check to name."""
    try:
        label, *values = (float(word) for word in text.split())
    except ValueError:
        return {"category_id": text.split()[0], "bbox": text.split()[1:]}
    category = int(label) + 1 if label.is_integer() and 0 <= label < num_classes else f"{label:g}"
    if len(values) >= 6 and len(values) % 2 == 0:
        corners = [value * (width, height)[place % 2] for place, value in enumerate(values)]
        left, top = min(corners[::2]), min(corners[1::2])
        box = [left, top, max(corners[::2]) - left, max(corners[1::2]) - top]
        return {"category_id": category, "bbox": box, "segmentation": [corners]}
    if len(values) != 4:
        return {"category_id": category, "bbox": values}
    x, y, w, h = values
    return {
        "category_id": category,
        "bbox": [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height],
    }
