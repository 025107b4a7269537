"""Names of classes and runs in pictures: any text, in a font that has its letters where there is one."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import matplotlib
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.ft2font import FT2Font

from sampling_free.data.problems import printable

FAMILY = "DejaVu Sans"  # matplotlib brings it along: it is there on any machine
_LONGEST = 60  # letters of a name


def legible(text: str) -> str:
    """A text in one line, with numbers in place of letters that no font has."""
    text = printable(text)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return text if _file_of(text) else "".join(c if _has(_own(), c) else f"U+{ord(c):X}" for c in text)


def font_file(text: str, *, bold: bool = False) -> Path:
    """The file of a font that has all letters of a legible text."""
    return _file_of(text, bold=bold) or _own(bold=bold)


def label(text: str) -> str:
    """A text for matplotlib, which takes dollars for formulas and hides names that begin with an underscore."""
    text = legible(text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def families(texts: Iterable[str]) -> list[str]:
    """Names of the fonts that the letters of some texts need, the usual one first."""
    files = dict.fromkeys(font_file(legible(text)) for text in texts)
    names = [FontProperties(fname=str(file)).get_name() for file in files]
    return [FAMILY, *(name for name in names if name != FAMILY)]


@lru_cache(maxsize=4096)
def _file_of(text: str, *, bold: bool = False) -> Path | None:
    if all(_has(_own(bold=bold), c) for c in text):
        return _own(bold=bold)
    return next((file for file in _others() if all(_has(file, c) for c in text)), None)


@lru_cache
def _others() -> tuple[Path, ...]:
    return tuple(dict.fromkeys(Path(font.fname) for font in fontManager.ttflist))


def _own(*, bold: bool = False) -> Path:
    return Path(matplotlib.get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf")


@lru_cache
def _letters(file: Path) -> frozenset[int]:
    try:
        return frozenset(FT2Font(str(file)).get_charmap())
    except (OSError, RuntimeError):  # a font that went, or is damaged
        return frozenset()


def _has(file: Path, letter: str) -> bool:
    return ord(letter) in _letters(file)
