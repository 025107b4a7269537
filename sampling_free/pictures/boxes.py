"""Boxes and masks on images. Colours can be told apart by colour-blind eyes; labels do not hide each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PIL
from PIL import ImageDraw, ImageFont

from sampling_free.pictures.words import font_file, legible

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Color = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom

# Okabe and Ito's colours without black, and white
_PALETTE: list[Color] = [
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
    (255, 255, 255),
]
_OPACITY = 0.4  # of masks
_DASH = 7  # pixels
_LARGEST = 16_000  # pixels of a side: JPEG has no more than 65,500, and few viewers show so many


@dataclass(frozen=True)
class Box:
    """A box to draw.

    Attributes:
        corners: XYXY in pixels of the image.
        name: its class.
        score: of a detection; None for ground truth.
        mask: `(H, W)` bool, or None.
        dashed: whether its lines are: a mistake of a detector.
    """

    corners: Rectangle
    name: str
    score: float | None = None
    mask: NDArray[np.bool_] | None = None
    dashed: bool = False


def class_colors(names: Iterable[str]) -> dict[str, Color]:
    """A colour for each class; colours repeat after eight classes."""
    return {name: _PALETTE[i % len(_PALETTE)] for i, name in enumerate(sorted(set(names)))}


def draw_boxes(
    image: Image,
    boxes: Sequence[Box],
    *,
    side: int = 480,
    most: int = _LARGEST,
    colors: Mapping[str, Color] | None = None,
) -> Image:
    """A copy of the image, its longer side scaled to at least `side` pixels, with masks, boxes, classes and scores.

    Args:
        image: `(H, W, 3)` uint8 RGB.
        boxes: what to draw; boxes with high scores lie on top.
        side: pixels.
        most: pixels that the longer side has at most.
        colors: per class; default: `class_colors` of the classes of these boxes.
    """
    longer = max(image.shape[:2])
    zoom = min(max(1.0, side / longer), most / longer)
    size = (max(1, round(image.shape[1] * zoom)), max(1, round(image.shape[0] * zoom)))
    palette = colors if colors is not None else class_colors(box.name for box in boxes)
    pixels = np.asarray(PIL.fromarray(image).resize(size, PIL.Resampling.BICUBIC)).copy()
    for box in boxes:
        if box.mask is not None:
            _paint_mask(pixels, box.mask, palette[box.name])
    canvas = PIL.fromarray(pixels)
    draw = ImageDraw.Draw(canvas)
    from_low_to_high = sorted(boxes, key=lambda box: box.score or 0)
    for box in from_low_to_high:
        _draw_lines(draw, _scaled(box.corners, zoom), palette[box.name], dashed=box.dashed)
    labels: list[Rectangle] = []
    for box in reversed(from_low_to_high):  # the best place is that of the best box
        labels.append(_draw_label(draw, box, _scaled(box.corners, zoom), palette[box.name], labels))
    return np.asarray(canvas)


def _scaled(corners: Rectangle, zoom: float) -> Rectangle:
    left, top, right, bottom = (value * zoom for value in corners)
    return left, top, max(left, right), max(top, bottom)


def _paint_mask(pixels: Image, mask: NDArray[np.bool_], color: Color) -> None:
    scaled = cv2.resize(mask.astype(np.uint8), pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    inside = scaled.astype(bool)
    pixels[inside] = ((1 - _OPACITY) * pixels[inside] + _OPACITY * np.array(color)).astype(np.uint8)
    outlines, _ = cv2.findContours(scaled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(pixels, outlines, -1, color, 1, cv2.LINE_AA)


def _draw_lines(draw: ImageDraw.ImageDraw, corners: Rectangle, color: Color, *, dashed: bool) -> None:
    width = max(2, round(max(draw.im.size) / 250))
    left, top, right, bottom = corners
    if not dashed:
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=(0, 0, 0), width=width + 2)  # a dark rim
        draw.rectangle(corners, outline=color, width=width)
        return
    for x0, y0, x1, y1 in _dashes(corners, clip=draw.im.size):
        draw.line((x0, y0, x1, y1), fill=(0, 0, 0), width=width + 2)
        draw.line((x0, y0, x1, y1), fill=color, width=width)


def _dashes(corners: Rectangle, clip: tuple[int, int]) -> Iterator[Rectangle]:
    """The dashes of a box's four sides, no further than a picture reaches."""
    limits = (*clip, *clip)
    left, top, right, bottom = (
        min(max(value, -2.0), limit + 2.0) for value, limit in zip(corners, limits, strict=True)
    )
    for x in np.arange(left, right, 2 * _DASH):
        for y in (top, bottom):
            yield x, y, min(x + _DASH, right), y
    for y in np.arange(top, bottom, 2 * _DASH):
        for x in (left, right):
            yield x, y, x, min(y + _DASH, bottom)


def _draw_label(
    draw: ImageDraw.ImageDraw, box: Box, corners: Rectangle, color: Color, taken: Sequence[Rectangle]
) -> Rectangle:
    """Class and score at a box, where no other label stands if there is such a place; returns the place."""
    name = legible(box.name)
    text = name if box.score is None else f"{name} {box.score:.2f}"
    font = font_of(max(12, round(max(draw.im.size) / 26)), text)
    size = (draw.textlength(text, font) + 6, font.size + 5.0)
    places = list(_places(corners, size, draw.im.size))
    place = min(places, key=lambda place: sum(_common(place, other) for other in taken))  # the first of the best
    draw.rectangle(place, fill=color)
    bright = sum(share * value for share, value in zip((0.299, 0.587, 0.114), color, strict=True)) > 110
    draw.text((place[0] + 3, place[1] + 1), text, (0, 0, 0) if bright else (255, 255, 255), font)
    return place


def _places(corners: Rectangle, size: tuple[float, float], picture: tuple[int, int]) -> Iterator[Rectangle]:
    """Where a label may stand, the best place first: above its box, below it, inside, at its right end."""
    left, top, right, bottom = corners
    width, height = size
    for x, y in (
        (left, top - height),
        (left, bottom),
        (left, top),
        (right - width, top - height),
        (right - width, bottom),
        (right - width, bottom - height),
    ):
        x = min(max(x, 0), max(picture[0] - width, 0))
        y = min(max(y, 0), max(picture[1] - height, 0))
        yield x, y, x + width, y + height


def _common(one: Rectangle, other: Rectangle) -> float:
    """Area that two rectangles share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def font_of(size: int, text: str, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """A font that has the letters of a legible text."""
    return _font(font_file(text, bold=bold), size)


@lru_cache
def _font(file: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)
