"""Boxes on images, images in a grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (H, W, 3) RGB

# Okabe and Ito's colours, told apart by colour-blind eyes too
_PALETTE = [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)]
_BORDER = 6
_CAPTION = 24


@dataclass(frozen=True)
class Box:
    """A box to draw.

    Attributes:
        corners: XYXY in pixels of the image.
        name: its class.
        score: of a detection; None for ground truth.
        mask: `(H, W)` bool, or None.
    """

    corners: tuple[float, float, float, float]
    name: str
    score: float | None = None
    mask: NDArray[np.bool_] | None = None


def color_of(name: str) -> tuple[int, int, int]:
    """The same colour for a class in every picture."""
    return _PALETTE[crc32(name.encode()) % len(_PALETTE)]


def draw_boxes(image: Image, boxes: Sequence[Box], *, side: int = 320) -> Image:
    """A copy of the image, its longer side scaled to at least `side` pixels, with boxes, names and scores."""
    zoom = max(1.0, side / max(image.shape[:2]))
    size = (round(image.shape[1] * zoom), round(image.shape[0] * zoom))
    canvas: Image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR if zoom < 2 else cv2.INTER_NEAREST)  # type: ignore[assignment]
    for box in boxes:
        if box.mask is not None:
            mask = cv2.resize(box.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
            canvas[mask] = (0.55 * canvas[mask] + 0.45 * np.array(color_of(box.name))).astype(np.uint8)
    for box in sorted(boxes, key=lambda box: box.score or 0):
        _draw_box(canvas, box, zoom)
    return canvas


def _draw_box(canvas: Image, box: Box, zoom: float) -> None:
    color = color_of(box.name)
    left, top, right, bottom = (round(value * zoom) for value in box.corners)
    cv2.rectangle(canvas, (left, top), (right, bottom), (0, 0, 0), 3)
    cv2.rectangle(canvas, (left, top), (right, bottom), color, 2)
    text = box.name if box.score is None else f"{box.name} {box.score:.2f}"
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
    x = min(max(left, 0), max(canvas.shape[1] - width - 2, 0))
    y = top - 4 if top > height + 6 else min(bottom, canvas.shape[0]) - 4
    cv2.rectangle(canvas, (x, y - height - 3), (x + width + 2, y + 3), color, cv2.FILLED)
    cv2.putText(canvas, text, (x + 1, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)


def save_grid(path: str | Path, rows: Sequence[Sequence[Image]], captions: Sequence[str] = ()) -> None:
    """Write images in rows as one picture, with a caption over each row.

    Args:
        path: of the jpg or png; its folder is made.
        rows: images of any size; each is fitted into a cell of the largest height and width.
        captions: one a row, or none.
    """
    height = max(image.shape[0] for row in rows for image in row)
    width = max(image.shape[1] for row in rows for image in row)
    columns = max(len(row) for row in rows)
    band = _CAPTION if captions else 0
    sheet = np.full((len(rows) * (height + band + _BORDER), columns * (width + _BORDER), 3), 255, np.uint8)
    for r, row in enumerate(rows):
        top = r * (height + band + _BORDER)
        if captions:
            place = (2, top + _CAPTION - 7)
            cv2.putText(sheet, captions[r], place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 1, cv2.LINE_AA)
        for c, image in enumerate(row):
            left = c * (width + _BORDER)
            sheet[top + band : top + band + image.shape[0], left : left + image.shape[1]] = image
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
