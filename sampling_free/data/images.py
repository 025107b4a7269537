"""The one reader of images: what trains, what is evaluated and what pictures show are the same pixels, upright.

A picture is turned as its EXIF orientation says, as viewers do. Palettes, grey and CMYK become RGB; what is transparent
lies on white. Grey values of 16 bits, 32 bits and floats are scaled to 8 bits (`_to_8_bits`).
"""

import contextlib
import stat
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from sampling_free.errors import UserError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}  # of images in a folder

_LARGEST = 2**29  # pixels: 1.5 GB of RGB
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = 5  # from this orientation on width and height change places
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """An image `(H, W, 3)` uint8 RGB, upright.

    Raises:
        UserError: the file cannot be read; it names the file and the reason.
    """
    with _opened(path) as image:
        turn = _TURNS.get(_orientation(image))
        pixels = _rgb(image)
        if turn is not None:
            pixels = pixels.transpose(turn)
        return np.array(pixels)


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height of an image, upright, from the header of its file.

    Of a file that lacks its format's end all is read, to find whether the picture is cut off.

    Raises:
        UserError: the file cannot be read.
    """
    with _opened(path) as image:
        if not _has_end(path, image.format):
            image.load()
        sideways = _orientation(image) >= _SIDEWAYS
        return image.size[::-1] if sideways else image.size


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """A file, opened; whatever Pillow raises on the way becomes one sentence."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):  # a pipe would be waited for without end
            raise OSError("it is no file")
        with _of_any_size(), Image.open(path) as image:
            _refuse_huge(image.size)
            yield image
    except UnidentifiedImageError as error:
        raise UserError(f"image {path} cannot be read (it is of no format that Pillow knows)") from error
    except (Exception, MemoryError) as error:  # of a damaged file Pillow raises almost anything
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"image {path} cannot be read ({reason})") from error


def _refuse_huge(size: tuple[int, int]) -> None:
    if size[0] * size[1] > _LARGEST:
        raise OSError(f"it has {size[0]} x {size[1]} pixels, which is more than memory can hold")


class _Lifted:
    """While any thread reads: Pillow's limit of pixels is lifted, and what it warns of damaged metadata is not said."""

    lock = threading.Lock()
    users = 0
    limit: int | None = None
    warnings = warnings.catch_warnings()


@contextlib.contextmanager
def _of_any_size() -> Iterator[None]:
    """A user's own picture may be larger than those of other people, which Pillow guards against."""
    with _Lifted.lock:
        if not _Lifted.users:
            _Lifted.limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            _Lifted.warnings = warnings.catch_warnings()
            _Lifted.warnings.__enter__()
            warnings.simplefilter("ignore")
        _Lifted.users += 1
    try:
        yield
    finally:
        with _Lifted.lock:
            _Lifted.users -= 1
            if not _Lifted.users:
                Image.MAX_IMAGE_PIXELS = _Lifted.limit
                _Lifted.warnings.__exit__(None, None, None)


def _orientation(image: Image.Image) -> int:
    """EXIF's, from 1 (upright) to 8; 1 where nobody says, or where what is said is damaged."""
    try:  # the base class's: that of PNG reads the whole file
        return int(Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _has_end(path: str | Path, kind: str | None) -> bool:
    if kind not in _ENDS:
        return True
    with open(path, "rb") as file:
        file.seek(-min(64, Path(path).stat().st_size), 2)  # some programs write a few bytes more
        return _ENDS[kind] in file.read()


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBa", "La") or (image.mode == "P" and "transparency" in image.info):
        image = image.convert("RGBA")
    if "A" in image.getbands():
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if not image.getchannel("A").getbbox():  # nothing to be seen at all: the channel is none of transparency
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _to_8_bits(values: NDArray) -> NDArray[np.uint8]:
    """Grey values scaled to [0, 255].

    The range is that of the picture's format, not of its brightness: for whole numbers the smallest of 8, 10, 12, 14
    and 16 bits that holds them all, for floats [0, 1] or else as for whole numbers. What fits none of these is
    stretched from its least to its greatest value.
    """
    if not np.isfinite(values).all():
        raise OSError("it holds values that are not finite")
    least, greatest = float(values.min()), float(values.max())
    floats = np.issubdtype(values.dtype, np.floating)
    tops = [1.0] * floats + [2.0**bits - 1 for bits in (8, 10, 12, 14, 16)]
    top = next((top for top in tops if greatest <= top), None)
    if least < 0 or top is None:
        least, top = least, greatest
    else:
        least = 0.0
    scaled = (values.astype(np.float64) - least) * (255 / max(top - least, np.finfo(np.float64).tiny))
    return scaled.round().clip(0, 255).astype(np.uint8)
