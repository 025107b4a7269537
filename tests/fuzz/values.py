"""What stands in files that should not, and places to put it."""

import copy
import random
from typing import Any

ODD: list[Any] = [
    *(None, True, False, -1, 0, 1, 2, 7, 0.5, 64.0, -0.0, 1e-9, 1e300, float("inf"), float("nan"), 2**31, 2**63),
    *(10**30, 10**400, "", "0", "x", "\ud800", "a\nb\x1b[2J", "../x.png", "/etc/passwd", "a.PNG"),
    *([], {}, [1], [[]], {"id": 1}, [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], [-5, 0, 99, 99]),
    *([[1, 1, 5, 5]], [[0, 0, 9, 0, 9, 9]], [[1, 1, 5, 1, 9, 1]], {"size": [32, 40], "counts": "o"}),
    *({"size": [32, 40], "counts": [0, 1280]}, {"size": [32, 40], "counts": [1, -1]}),
]
_INSERTED = (b"\0", b"\xff\xfe", b"[" * 3000, b"9" * 6000, b"1e400", b"<a>" * 300, b"&a;")


def containers(node: Any) -> list[Any]:
    """All lists and mappings of a tree, itself first."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    below = [found for child in children for found in containers(child)]
    return [node, *below] if isinstance(node, dict | list) else []


def change(tree: Any, draw: random.Random) -> None:
    """Replace, remove or repeat one value of a tree, in place."""
    place = draw.choice([found for found in containers(tree) if found])
    key = draw.choice(list(place) if isinstance(place, dict) else range(len(place)))
    action = draw.choice(("replace", "replace", "remove", "repeat"))
    if action == "replace":
        place[key] = copy.deepcopy(draw.choice(ODD))
    elif action == "remove":
        del place[key]
    elif isinstance(place, list):
        place.append(copy.deepcopy(place[key]))
    else:
        place[f"{key}2"] = copy.deepcopy(place[key])


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Bytes changed, cut off, left out or repeated."""
    content = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        start = draw.randrange(len(content) + 1)
        length = draw.choice((1, 1, 2, 4, 30, 300))
        action = draw.choice(("change", "change", "cut", "leave out", "repeat", "insert"))
        if action == "change":
            content[start : start + length] = draw.randbytes(len(content[start : start + length]))
        elif action == "cut":
            del content[start:]
        elif action == "leave out":
            del content[start : start + length]
        elif action == "repeat":
            content[start:start] = content[start : start + length]
        else:
            content[start:start] = draw.choice(_INSERTED)
    return bytes(content)
