"""The check of an annotation's mask: polygons, or COCO's run lengths."""

from collections.abc import Sequence
from typing import Any

from sampling_free.data.values import is_finite, is_int

_NO_MASK = "segmentation that is neither polygons nor run lengths"
_OTHER_RUNS = "segmentation whose run lengths do not fit its image"


def check_mask(mask: Any, size: tuple[int, int]) -> tuple[Any, str, str]:
    """A mask that hosts can draw.

    Args:
        mask: of the file.
        size: height and width of the image.

    Returns:
        The mask without polygons that have no area; what was mended, or ""; what is wrong, or "".
    """
    if isinstance(mask, dict):
        return mask, "", _runs_fault(mask, size)
    if not isinstance(mask, list):
        return mask, "", _NO_MASK
    polygons = [polygon for polygon in mask if _has_area(polygon)]
    if not polygons:
        return mask, "", _NO_MASK
    splinters = len(polygons) < len(mask)
    return polygons, "polygon without area, left out of its object" if splinters else "", ""


def _has_area(polygon: Any) -> bool:
    """Whether numbers are the corners of something that is not all on one line."""
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2 or not all(map(is_finite, polygon)):
        return False
    corners = [(float(x) - float(polygon[0]), float(y) - float(polygon[1])) for x, y in _pairs(polygon)]
    far = max(corners, key=lambda corner: abs(corner[0]) + abs(corner[1]))
    return any(abs(far[0] * y - far[1] * x) > 0 for x, y in corners)


def _pairs(numbers: Sequence[float]) -> zip:
    return zip(numbers[::2], numbers[1::2], strict=True)


def _runs_fault(mask: dict[str, Any], size: tuple[int, int]) -> str:
    if mask.get("size") != list(size):
        return _OTHER_RUNS
    counts = mask.get("counts")
    runs = _runs_of(counts) if isinstance(counts, str) else counts
    if (
        not isinstance(runs, list)
        or not all(is_int(run) and run >= 0 for run in runs)
        or sum(runs) != size[0] * size[1]
    ):
        return _OTHER_RUNS
    return "" if sum(runs[1::2]) else "segmentation that covers no pixel"


def _runs_of(text: str) -> list[int] | None:
    """The run lengths of COCO's compressed form, or None: pycocotools reads beyond the end of a text that is none.

    A number is written in groups of five bits, lowest first, bit 5 of a character (less 48) saying that more follow;
    from the third run on, the difference to the run before the last is written.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return None if shift else runs
