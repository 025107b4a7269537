"""Values of other people's files: which are numbers that can be computed with, and texts whatever their encoding."""

import codecs
import json
import math
from pathlib import Path
from typing import Any

from sampling_free.errors import UserError

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, which it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LARGEST_ID = 2**63


def whole(value: Any) -> int | None:
    """A whole number of 64 bits, also where it is written as 64.0; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if is_int(value) and abs(value) < _LARGEST_ID else None


def is_int(value: Any) -> bool:
    """Whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether a number can be computed with: it is neither infinite, nor NaN, nor has hundreds of digits."""
    try:
        return is_number(value) and math.isfinite(value)
    except OverflowError:
        return False


def decoded(content: bytes, encoding: str = "utf-8") -> str:
    """A text in the encoding that its byte-order mark says, or else in a given one.

    Raises:
        ValueError: it is in no such encoding.
    """
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), encoding)
    try:
        text = content.decode(encoding)
    except (UnicodeError, LookupError) as error:
        raise ValueError(f"it is not in {encoding} ({error}); save it as UTF-8") from error
    if "\0" in text:
        raise ValueError("it holds NUL bytes; save it as UTF-8")
    return text


def read_json(path: Path) -> Any:
    """The content of a json file.

    Raises:
        UserError: it is missing or none.
    """
    try:
        return json.loads(decoded(path.read_bytes()))
    except FileNotFoundError as error:
        raise UserError(f"there is no annotation file {path}; check the data set's root or annotation path") from error
    except (OSError, ValueError) as error:
        raise UserError(f"annotation file {path} cannot be read as json: {error}") from error
    except RecursionError as error:
        raise UserError(f"annotation file {path} cannot be read as json: it is nested too deeply") from error
    except MemoryError as error:
        raise UserError(f"annotation file {path} cannot be read: there is not enough memory for it") from error
