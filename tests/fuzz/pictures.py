"""Image files of all formats."""

import random
from pathlib import Path

import numpy as np
from PIL import Image

from sampling_free.data.images import image_size, read_image
from sampling_free.errors import UserError
from tests.fuzz.values import damaged

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)


def prepare(folder: Path) -> None:
    """Whole files, one a format."""
    exif = Image.Exif()
    exif[0x0112] = 6
    colours, grey = Image.fromarray(PIXELS), Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 200)
    for suffix in ("jpg", "png", "webp", "tif"):
        colours.save(folder / f"turned.{suffix}", exif=exif)
    for suffix in ("bmp", "gif", "ppm", "tga", "ico", "jp2"):
        colours.save(folder / f"plain.{suffix}")
    for suffix in ("png", "tif"):
        grey.save(folder / f"grey.{suffix}")
    colours.convert("CMYK").save(folder / "cmyk.jpg")
    colours.quantize(8).save(folder / "palette.png", transparency=3)
    Image.fromarray(PIXELS[..., 0].astype(np.float32)).save(folder / "float.tif")


def run(folder: Path, draw: random.Random) -> None:
    """One file."""
    whole = draw.choice(sorted(folder.glob("*.*")))
    content = whole.read_bytes()
    if draw.random() < 0.5:  # most of what a header says stands at the beginning
        head = draw.randrange(20, 120)
        content = damaged(content[:head], draw) + content[head:]
    else:
        content = damaged(content, draw)
    file = folder / "damaged" / whole.name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    try:
        size = image_size(file)
    except UserError:
        size = None
    pixels = read_image(file)
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size
    # of some formats the size in the header is not that of the picture: the reader's owners compare again
    assert size is None or size == pixels.shape[1::-1] or whole.suffix in (".ico", ".gif", ".tif", ".webp", ".png")
