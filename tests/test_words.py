"""Names of any kind in pictures: they never crash, and nothing warns."""

import json

import numpy as np
import pytest

from sampling_free.pictures import Box, draw_boxes, plot_precision_recall, save_grid
from sampling_free.pictures.words import families, font_file, label, legible

NAMES = [
    "cat\ndog",
    "圆",
    "",
    "_cell",
    "$5 $",
    "\ud800",
    "a" * 500,
    "\u202eright",
    "😀",
    "é",
    "e\u0301",
    "\x00",
    "{}%s\\",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_is_drawn(name, tmp_path):
    image = np.zeros((40, 60, 3), np.uint8)
    drawn = draw_boxes(image, [Box((5, 5, 30, 30), name), Box((5, 5, 30, 30), name, 0.5)])
    save_grid(tmp_path / "a.png", [[drawn]], titles=[name])
    curves = {key: [1.0, 0.5] for key in ("recall", "mean over IoU", "IoU 0.5")}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precision_recall.json").write_text(json.dumps(curves | {"classes at IoU 0.5": {name: [1, 0]}}))
    plot_precision_recall(tmp_path / "b.png", {name: tmp_path / "run"})
    assert (tmp_path / "b.png").stat().st_size > 0


def test_letters_that_no_font_has_are_said_in_numbers():
    assert legible("a\U0010fffdb") == "aU+10FFFDb" or legible("a\U0010fffdb") == "a\\U0010fffdb"
    assert legible("cat\n2") == "cat\\n2" and label("$a") == r"\$a" and label("_a") == " _a"
    assert font_file("cat").name == "DejaVuSans.ttf" and families(["cat", "dog"]) == ["DejaVu Sans"]
