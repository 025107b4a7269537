"""Folders of VOC's layout: lists and annotations."""

import random
import re
from pathlib import Path

from sampling_free.data import check_annotations, read_voc
from tests.data.test_voc import item, write
from tests.fuzz.coco import _check
from tests.fuzz.values import damaged

TEXTS = ("nan", "inf", "-1", "1e400", "", "0", "40.5", "<b/>", "x y", "../a", "圆", "9" * 5000)
OBJECTS = {"a": [item(), item("dog", (2, 3, 9, 9), difficult=1)], "b 1": [], "c": [item("mouse", (1, 1, 5, 5))]}


def prepare(folder: Path) -> None:
    """The whole folder."""
    write(folder, "all", OBJECTS)


def run(folder: Path, draw: random.Random) -> None:
    """One folder."""
    write(folder, "all", OBJECTS)
    listed = folder / "ImageSets" / "Main" / "all.txt"
    file = folder / "Annotations" / f"{draw.choice(list(OBJECTS))}.xml"
    for path in draw.choice(((listed,), (file,), (file,), (file, listed))):
        path.write_bytes(_changed(path.read_bytes(), draw))
    content = read_voc([(folder, "all")], ["cat", "dog"], leave_out_unlisted=draw.random() < 0.8)
    checked = check_annotations(content, "", allow_outside=True)
    assert checked.summary.isprintable()
    _check(checked.coco, masks=False)
    assert len(checked.coco["annotations"]) + checked.problems.dropped == len(content["annotations"])
    assert len(checked.coco["images"]) + checked.problems.dropped_images == len(content["images"])
    for image in checked.coco["images"]:
        assert (folder / "JPEGImages").samefile(Path(image["file_name"]).parent)


def _changed(content: bytes, draw: random.Random) -> bytes:
    action = draw.choice(("damage", "text", "text", "encoding", "nesting"))
    if action == "damage":
        return damaged(content, draw)
    if action == "text":
        places = [match.span(1) for match in re.finditer(rb">([^<>]*)<", content)] or [(0, 0)]
        start, end = draw.choice(places)
        return content[:start] + draw.choice(TEXTS).encode() + content[end:]
    if action == "encoding":
        encoding = draw.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "gb2312", "cp500", "utf-7"))
        said = draw.choice((encoding, "no-such", "hex", "rot13"))
        declared = draw.choice(("", f"<?xml version='1.0' encoding='{said}'?>"))
        return (declared + content.decode()).encode(encoding)
    entities = b"<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'>" + b"".join(
        b"<!ENTITY %c '%s'>" % (i + 1, b"&%c;" % i * 10) for i in range(ord("a"), ord("k"))
    )
    return draw.choice((entities + b"]>" + content.replace(b"cat", b"&k;"), b"<a>" * 50_000 + b"</a>" * 50_000))
