"""Boxes and masks on images, images in a grid. Colours can be told apart by colour-blind eyes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PIL
from PIL import ImageDraw, ImageFont

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Color = tuple[int, int, int]

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
_GAP = 8  # pixels between the cells of a grid
_OPACITY = 0.4  # of masks


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


def legend_of(names: Iterable[str]) -> dict[str, Color] | None:
    """A colour for each class, or None for more classes than colours can tell: they need names at the boxes."""
    colors = _colors_of(names)
    return colors if len(colors) <= len(_PALETTE) else None


def _colors_of(names: Iterable[str]) -> dict[str, Color]:
    return {name: _PALETTE[i % len(_PALETTE)] for i, name in enumerate(sorted(set(names)))}


def draw_boxes(
    image: Image, boxes: Sequence[Box], *, side: int = 480, colors: Mapping[str, Color] | None = None
) -> Image:
    """A copy of the image, its longer side scaled to at least `side` pixels, with masks, boxes and scores.

    Args:
        image: `(H, W, 3)` uint8 RGB.
        boxes: what to draw; low scores first, so that high ones lie on top.
        side: pixels.
        colors: per class, where a legend beside the image tells the classes; without, names stand at the boxes.
    """
    zoom = max(1.0, side / max(image.shape[:2]))
    size = (round(image.shape[1] * zoom), round(image.shape[0] * zoom))
    palette = colors if colors is not None else _colors_of(box.name for box in boxes)
    pixels = np.asarray(PIL.fromarray(image).resize(size, PIL.Resampling.BICUBIC)).copy()
    for box in boxes:
        if box.mask is not None:
            _paint_mask(pixels, box.mask, palette[box.name])
    canvas = PIL.fromarray(pixels)
    draw = ImageDraw.Draw(canvas)
    for box in sorted(boxes, key=lambda box: box.score or 0):
        score = "" if box.score is None else f"{box.score:.2f}"
        _draw_box(draw, box, zoom, palette[box.name], score if colors is not None else f"{box.name} {score}".strip())
    return np.asarray(canvas)


def _paint_mask(pixels: Image, mask: NDArray[np.bool_], color: Color) -> None:
    scaled = cv2.resize(mask.astype(np.uint8), pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    inside = scaled.astype(bool)
    pixels[inside] = ((1 - _OPACITY) * pixels[inside] + _OPACITY * np.array(color)).astype(np.uint8)
    outlines, _ = cv2.findContours(scaled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(pixels, outlines, -1, color, 1, cv2.LINE_AA)


def _draw_box(draw: ImageDraw.ImageDraw, box: Box, zoom: float, color: Color, text: str) -> None:
    width, height = draw.im.size
    line = max(2, round(max(width, height) / 350))
    left, top, right, bottom = (value * zoom for value in box.corners)
    right, bottom = max(left, right), max(top, bottom)
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=(0, 0, 0), width=line + 2)  # a dark rim
    draw.rectangle((left, top, right, bottom), outline=color, width=line)
    if not text:
        return
    font = _font(max(11, round(max(width, height) / 45)))
    text_width, text_height = draw.textlength(text, font) + 6, font.size + 4
    x = min(max(left, 0), max(width - text_width, 0))
    y = top - text_height if top >= text_height else min(max(top, 0), height - text_height)
    draw.rectangle((x, y, x + text_width, y + text_height), fill=color)
    bright = sum(share * value for share, value in zip((0.299, 0.587, 0.114), color, strict=True)) > 110
    draw.text((x + 3, y + 1), text, (0, 0, 0) if bright else (255, 255, 255), font)


def save_grid(
    path: str | Path,
    rows: Sequence[Sequence[Image]],
    captions: Sequence[str] = (),
    *,
    legend: Mapping[str, Color] | None = None,
) -> None:
    """Write images in rows as one picture, with a caption over each row and a legend of colours below.

    Args:
        path: of the jpg or png; its folder is made.
        rows: images of any size; each is fitted into a cell of the largest height and width.
        captions: one a row, or none.
        legend: colour by name.
    """
    height = max(image.shape[0] for row in rows for image in row)
    width = max(image.shape[1] for row in rows for image in row)
    columns, band = max(len(row) for row in rows), 30 if captions else _GAP
    size = (_GAP + columns * (width + _GAP), len(rows) * (height + band) + (36 if legend else _GAP))
    sheet = PIL.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for r, row in enumerate(rows):
        top = r * (height + band) + band
        if captions:
            draw.text((_GAP, top - 25), captions[r], (0, 0, 0), _font(17, bold=True))
        for c, image in enumerate(row):
            sheet.paste(PIL.fromarray(image), (_GAP + c * (width + _GAP), top))
    if legend:
        _draw_legend(draw, legend, size[1] - 26)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=90)


def _draw_legend(draw: ImageDraw.ImageDraw, legend: Mapping[str, Color], top: int) -> None:
    font, x = _font(15), float(_GAP)
    for name, color in legend.items():
        draw.rectangle((x, top + 2, x + 16, top + 16), fill=color, outline=(0, 0, 0))
        draw.text((x + 23, top), name, (0, 0, 0), font)
        x += 23 + draw.textlength(name, font) + 22


@lru_cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font that matplotlib brings along: it is there on any machine, and knows more letters than cv2's."""
    file = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / file, size)
