"""Images in rows and columns, as one picture."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image as PIL
from PIL import ImageDraw

from sampling_free.pictures.boxes import Image, font_of
from sampling_free.pictures.words import legible

_GAP = 8  # pixels between cells
_BAND = 34  # pixels of a line of text


def save_grid(path: str | Path, rows: Sequence[Sequence[Image]], titles: Sequence[str] = (), note: str = "") -> None:
    """Write images in rows as one picture.

    Args:
        path: of the jpg or png; its folder is made.
        rows: images `(H, W, 3)` of any size; each is fitted into a cell of the largest height and width.
        titles: of the columns, or none.
        note: a line below the images.
    """
    height = max(image.shape[0] for row in rows for image in row)
    width = max(image.shape[1] for row in rows for image in row)
    columns = max(len(row) for row in rows)
    head = _BAND if titles else _GAP
    size = (_GAP + columns * (width + _GAP), head + len(rows) * (height + _GAP) + (_BAND - _GAP if note else 0))
    sheet = PIL.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        text = legible(title)
        draw.text((_GAP + column * (width + _GAP), 6), text, (0, 0, 0), font_of(20, text, bold=True))
    for r, row in enumerate(rows):
        for column, image in enumerate(row):
            sheet.paste(PIL.fromarray(image), (_GAP + column * (width + _GAP), head + r * (height + _GAP)))
    if note:
        draw.text((_GAP, size[1] - 26), note, (80, 80, 80), font_of(16, note))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=90)
