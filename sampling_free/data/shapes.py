"""A generated data set for detection and instance segmentation, in COCO format: small, deterministic, not easy.

Five kinds of shapes on textured ground, 6 to 80 % of the image's side, turned, overlapping each other, among
distractors that look like them and are not annotated; one image in ten holds no object at all. What a detector has to
learn here in minutes on a CPU is what it has to learn on COCO in days: many backgrounds, few objects, look-alikes.
"""

import argparse
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from tqdm import tqdm

from sampling_free.data.paths import within
from sampling_free.errors import UserError

logger = logging.getLogger(__name__)

_VERSION = 1  # raised when the same parameters would give other images
_MIN_VISIBLE = 0.35  # share of an object that must be seen
_MIN_PIXELS = 24
_EMPTY = 0.1  # share of images without objects

Outline = NDArray[np.float64]  # polygon corners (K, 2) around the origin, within radius 1


def _regular(corners: int, turn: float = 0.0) -> Outline:
    angles = 2 * np.pi * np.arange(corners) / corners + turn
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _star(points: int, inner: float) -> Outline:
    outline = _regular(2 * points)
    outline[1::2] *= inner
    return outline


def _cross(arm: float) -> Outline:
    a = arm
    corners = [
        (a, 1),
        (a, a),
        (1, a),
        (1, -a),
        (a, -a),
        (a, -1),
        (-a, -1),
        (-a, -a),
        (-1, -a),
        (-1, a),
        (-a, a),
        (-a, 1),
    ]
    return np.array(corners) * 0.9


OBJECTS: dict[str, Outline] = {
    "circle": _regular(48),
    "square": _regular(4, np.pi / 4),
    "triangle": _regular(3),
    "star": _star(5, 0.45),
    "cross": _cross(0.3),
}
_DISTRACTORS: tuple[Outline, ...] = (
    _regular(48) * [1, 0.5],  # an ellipse is no circle
    _regular(6),  # a hexagon neither
    _regular(4, np.pi / 4) * [1, 0.45],  # a bar is no square
    _star(4, 0.4),  # a star of four points is none of five
    _regular(3) * [1, 0.35],
    np.concatenate([_regular(3) * 0.9, [[-0.1, 0.0]]]),
)


@dataclass(frozen=True)
class ShapesSettings:
    """Everything that the images depend on.

    Attributes:
        num_train: training images.
        num_val: validation images.
        size: side of the square images, pixels.
        num_classes: of the classes circle, square, triangle, star, cross: the first so many.
        seed: of everything.
    """

    num_train: int = 2000
    num_val: int = 300
    size: int = 128
    num_classes: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.num_train, self.num_val) < 1 or self.size < 32 or not 1 <= self.num_classes <= len(OBJECTS):
            raise UserError(
                f"shapes need at least 1 image of each split, a size of at least 32 and 1 to {len(OBJECTS)} classes, "
                f"not {self}"
            )


def generate_shapes(root: str | Path, settings: ShapesSettings | None = None) -> Path:
    """Generate the data set, unless it is there already.

    Writes `<root>/{train,val}/*.jpg` and `<root>/annotations/instances_{train,val}.json`: boxes and masks of what is
    visible of each object. An image depends on the settings, its split and its number alone.

    Returns:
        `root`. It appears at once and complete, or not at all.

    Raises:
        UserError: `root` holds something else, or shapes of other settings, or cannot be written.
    """
    root, settings = within(root), settings or ShapesSettings()
    fingerprint = _fingerprint(settings)
    if root.exists():
        marker = root / "shapes.json"
        if marker.is_file() and json.loads(marker.read_text())["fingerprint"] == fingerprint:
            return root
        raise UserError(
            f"folder {root} exists but does not hold the shapes of {settings}; choose another root or remove it"
        )
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    except OSError as error:
        raise UserError(f"shapes cannot be written to {root} ({error.strerror}); choose another root") from error
    try:
        for split, count in (("train", settings.num_train), ("val", settings.num_val)):
            _write_split(unfinished, split, count, settings)
        description = {"fingerprint": fingerprint, "settings": asdict(settings)}
        (unfinished / "shapes.json").write_text(json.dumps(description, indent=1))
        unfinished.chmod(0o755)
        _publish(unfinished, root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return root


def _publish(unfinished: Path, root: Path) -> None:
    try:
        os.rename(unfinished, root)
    except OSError:
        if not (root / "shapes.json").is_file():  # else another process was faster with the very same images
            raise


def _fingerprint(settings: ShapesSettings) -> str:
    return hashlib.sha256(json.dumps([_VERSION, asdict(settings)], sort_keys=True).encode()).hexdigest()[:16]


def _write_split(root: Path, split: str, count: int, settings: ShapesSettings) -> None:
    names = list(OBJECTS)[: settings.num_classes]
    content: dict[str, list[dict[str, Any]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, start=1)],
    }
    (root / split).mkdir()
    for index in tqdm(range(count), desc=f"drawing shapes ({split})", unit=" images", leave=False):
        image, objects = draw(settings, split, index)
        file_name = f"{index:06d}.jpg"
        cv2.imwrite(str(root / split / file_name), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        side = settings.size
        content["images"].append({"id": index + 1, "file_name": file_name, "height": side, "width": side})
        for category, visible in objects:
            content["annotations"].append(_annotation(len(content["annotations"]) + 1, index + 1, category, visible))
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def _annotation(identity: int, image_id: int, category: int, visible: NDArray[np.bool_]) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(visible, dtype=np.uint8))
    return {
        "id": identity,
        "image_id": image_id,
        "category_id": category,
        "bbox": coco_mask.toBbox(encoded).tolist(),
        "area": float(coco_mask.area(encoded)),
        "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")},
        "iscrowd": 0,
    }


def draw(
    settings: ShapesSettings, split: str, index: int
) -> tuple[NDArray[np.uint8], list[tuple[int, NDArray[np.bool_]]]]:
    """One image and what is annotated in it.

    Returns:
        Image `(size, size, 3)` uint8 RGB, and per object its category id (from 1) and visible mask `(size, size)`.
    """
    random = np.random.default_rng([settings.seed, {"train": 0, "val": 1}[split], index])
    image = _ground(random, settings.size)
    pieces = [_piece(random, settings.size, outline, 0) for outline in _some(random, _DISTRACTORS, 1, 5)]
    if random.random() >= _EMPTY:
        kinds = random.integers(settings.num_classes, size=random.integers(1, 8))
        outlines = list(OBJECTS.values())
        pieces += [_piece(random, settings.size, outlines[kind], int(kind) + 1) for kind in kinds]
    random.shuffle(pieces)  # what comes later covers what came before
    seen = _seen(pieces, settings.size)
    for piece, _ in seen:
        piece.paint(image)
    return _photograph(random, image), [(piece.category, mask) for piece, mask in seen if piece.category]


NUM_SINGLES = len(OBJECTS) + len(_DISTRACTORS)  # kinds of `draw_single`


def draw_single(seed: int, index: int, size: int) -> tuple[NDArray[np.uint8], int]:
    """One shape or distractor in the middle of an image `(size, size, 3)` RGB, and which kind it is."""
    random = np.random.default_rng([seed, 2, index])
    kind = int(random.integers(NUM_SINGLES))
    outline = [*OBJECTS.values(), *_DISTRACTORS][kind]
    image = _ground(random, size)
    place = random.uniform(0.35, 0.65, 2) * size
    _piece(random, size, outline, kind + 1 if kind < len(OBJECTS) else 0, (0.1, 0.42), place).paint(image)
    return _photograph(random, image), kind


@dataclass(frozen=True)
class _Piece:
    """A shape in its place: `category` 0 is a distractor."""

    category: int
    corners: NDArray[np.int32]  # (K, 2), sixteenths of a pixel
    mask: NDArray[np.bool_]
    paint: Callable[[NDArray[np.float32]], None]


def _piece(
    random: np.random.Generator,
    size: int,
    outline: Outline,
    category: int,
    radii: tuple[float, float] | None = None,
    center: NDArray[np.float64] | None = None,
) -> _Piece:
    """A shape somewhere; radii are shares of the side, from 9 px across to 0.78 of it: 100 px in an image of 128."""
    # log-uniform: as many small objects as large ones
    radius = size * np.exp(random.uniform(*np.log(radii or (4.6 / size, 0.39))))
    angle = random.uniform(-np.pi / 6, np.pi / 6)
    center = random.uniform(0.02 * size, 0.98 * size, 2) if center is None else center
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = random.uniform(0.85, 1.0, 2)
    corners = np.round(((outline * stretch) @ turn.T * radius + center) * 16).astype(np.int32)
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [corners], 1, shift=4)
    color = _color(random, category)
    shade = np.linspace(-1, 1, size, dtype=np.float32) * random.uniform(-25, 25)
    outlined = random.random() < 0.3

    def paint(image: NDArray[np.float32]) -> None:
        filled = np.zeros((size, size), np.uint8)
        cv2.fillPoly(filled, [corners], 255, cv2.LINE_AA, shift=4)
        alpha = (filled.astype(np.float32) / 255)[..., None]
        image[:] = image * (1 - alpha) + (color.astype(np.float32) + shade[:, None, None]) * alpha
        if outlined:
            cv2.polylines(image, [corners], True, (color * 0.6).tolist(), 1, cv2.LINE_AA, shift=4)

    return _Piece(category, corners, mask.astype(bool), paint)


def _color(random: np.random.Generator, category: int) -> NDArray[np.float64]:
    """RGB. A class has a hue that it often has and its distractors have as well: a hint, so that minutes suffice."""
    favourite = (category or random.integers(1, len(OBJECTS) + 1)) / len(OBJECTS)
    hue = (favourite + random.normal(0, 0.06)) % 1
    hsv = np.array([[[hue * 180, random.uniform(90, 230), random.uniform(110, 240)]]], np.float32).astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)


def _seen(pieces: list[_Piece], size: int) -> list[tuple[_Piece, NDArray[np.bool_]]]:
    """Pieces in order of drawing with their visible masks; objects too hidden or too small to be known are left out."""
    seen: list[tuple[_Piece, NDArray[np.bool_]]] = []
    covered = np.zeros((size, size), bool)
    for piece in reversed(pieces):
        visible = piece.mask & ~covered
        enough = visible.sum() >= max(_MIN_PIXELS, _MIN_VISIBLE * piece.mask.sum())
        if piece.category and not enough:
            continue
        covered |= piece.mask
        seen.append((piece, visible))
    return seen[::-1]


def _ground(random: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Smooth colours, a finer texture, and strokes."""
    image = np.full((size, size, 3), random.uniform(70, 170), np.float32)
    for cells, strength in ((4, 20), (16, 6)):
        noise = random.normal(0, strength, (cells, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    for _ in range(random.integers(0, 8)):
        start, end = random.integers(0, size, (2, 2)).tolist()
        cv2.line(image, start, end, random.uniform(20, 235, 3).tolist(), int(random.integers(1, 3)), cv2.LINE_AA)
    return image


def _photograph(random: np.random.Generator, image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Slightly blurred, with noise."""
    blurred = cv2.GaussianBlur(image, (3, 3), random.uniform(0.2, 0.8))
    noisy = blurred + random.normal(0, random.uniform(1, 6), image.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def _some(random: np.random.Generator, outlines: tuple[Outline, ...], low: int, high: int) -> list[Outline]:
    return [outlines[i] for i in random.integers(len(outlines), size=random.integers(low, high))]


def main() -> None:
    """Generate the data set from the command line."""
    parser = argparse.ArgumentParser(description="Generate the shapes data set.")
    parser.add_argument("--root", required=True)
    for name, value in asdict(ShapesSettings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    arguments = vars(parser.parse_args())
    try:
        generate_shapes(arguments.pop("root"), ShapesSettings(**arguments))
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
