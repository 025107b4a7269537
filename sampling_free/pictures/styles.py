"""The colour of a method: the same in every figure. Rows are named `METHOD`, or `DETECTOR, METHOD`."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

MOST_LINES = 6  # in a panel; more cannot be told apart

# A host's or paper's own form is grey, Sampling-Free vermilion; the others are Okabe and Ito's colours.
_OWN_FORMS = {"own form": "#7F7F7F", "focal loss": "#7F7F7F", "biased": "#7F7F7F", "biased sampling": "#7F7F7F"}
_METHODS = {
    "sampling free": "#D55E00",
    "sampling free v1": "#E69F00",
    "released code": "#CC79A7",
    "bias only": "#56B4E9",
    "guided only": "#0072B2",
    "cross entropy": "#009E73",
    "ghm c": "#0072B2",
    "ohem": "#009E73",
    "iou balanced": "#56B4E9",
    "isr": "#CC79A7",
}
_OTHERS = ["#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C6D31", "#D55E00"]


def detector_of(name: str) -> str:
    """The detector of a row named `DETECTOR, METHOD`; empty where the name is a method alone."""
    return name.rpartition(", ")[0]


def method_of(name: str) -> str:
    """The method of a row."""
    return name.rpartition(", ")[2]


def styles_of(names: Sequence[str]) -> list[dict[str, Any]]:
    """Colour and dashes of each row's line; a method of an own name takes the first colour that is free."""
    known = [_known(method_of(name)) for name in names]
    free = [color for color in _OTHERS if color not in {style["color"] for style in known if style}]
    free = free or _OTHERS
    styles, count = [], 0
    for style in known:
        if style is None:
            style = {"color": free[count % len(free)], "linestyle": "-" if count < len(free) else ":"}
            count += 1
        styles.append(style)
    return styles


def _known(method: str) -> dict[str, Any] | None:
    """The style of a method that has one; guided forms of a heuristic are dashed."""
    name = re.sub(r"[^a-z0-9]+", " ", method.lower()).strip()  # a folder is called sampling-free-v1
    guided = name.removeprefix("guided ")
    if name in _METHODS:
        return {"color": _METHODS[name], "linestyle": "-"}
    if name in _OWN_FORMS:
        return {"color": _OWN_FORMS[name], "linestyle": "-"}
    if guided in _METHODS or guided in _OWN_FORMS:
        return {"color": (_METHODS | _OWN_FORMS)[guided], "linestyle": "--"}
    return None


def panels_of(names: Iterable[str]) -> dict[str, list[str]]:
    """The rows of each figure: one figure a detector; one of more than six rows repeats its first row in each part.

    Returns:
        Per name of a figure ("" where there is one alone) the rows.
    """
    of_detector: dict[str, list[str]] = {}
    for name in names:
        of_detector.setdefault(detector_of(name), []).append(name)
    figures = {}
    for detector, rows in of_detector.items():
        first, rest = rows[0], rows[1:]
        parts = [rest[i : i + MOST_LINES - 1] for i in range(0, len(rest), MOST_LINES - 1)] or [[]]
        for number, part in enumerate(parts, start=1):
            title = detector if len(parts) == 1 else f"{detector} {number}".strip()
            figures[title] = [first, *part]
    return figures if len(figures) > 1 else {"": next(iter(figures.values()))} if figures else {}
