"""A run that was killed ends, after --resume, bit for bit as the one that was not."""

import csv

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import torch

from tests.detectron2.runs import arguments, finished, killed_at

# evaluation and checkpoints fall together (6) and apart; the proposals that train are drawn at random; momentum,
# warm-up, workers and flips are all in it
OVERRIDES = [
    "train.max_iter=9",
    "train.eval_period=3",
    "train.checkpointer.period=2",
    "dataloader.train.num_workers=2",
]


def differing(a, b, path=""):
    """Paths at which two nested states differ, tensors bit for bit."""
    if isinstance(a, torch.Tensor):
        same = isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    elif isinstance(a, dict):
        return [p for key in a.keys() | b.keys() for p in differing(a.get(key), b.get(key), f"{path}/{key}")]
    elif isinstance(a, list | tuple):
        return [p for i, (x, y) in enumerate(zip(a, b, strict=True)) for p in differing(x, y, f"{path}/{i}")]
    else:
        same = a == b
    return [] if same else [path]


@pytest.mark.parametrize("config", ["faster_rcnn.py:shapes_baseline", "retinanet.py:shapes"])
def test_a_run_killed_twice_ends_as_the_one_that_was_not(tmp_path, config):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    finished(arguments(whole, *OVERRIDES, config=config))
    killed_at(cut, 1, arguments(cut, *OVERRIDES, config=config))  # before any checkpoint
    assert not list(cut.glob("run/checkpoints/*.pth"))
    killed_at(cut, 6, arguments(cut, *OVERRIDES, config=config, options=["--resume"]))
    said = finished(arguments(cut, *OVERRIDES, config=config, options=["--resume"]))
    assert "resuming" in said and "of 9" in said

    for name in ("last.pth", "best.pth"):
        files = [folder / "run" / "checkpoints" / name for folder in (whole, cut)]
        a, b = (torch.load(file, weights_only=True) for file in files)
        assert a["model"] and a["trainer"]["optimizer"]["state"]
        assert differing(a, b) == [], name
    assert b["iteration"] == 2 or a["trainer"]["hooks"]["BestCheckpointer"]["best_metric"] > 0

    tables = [list(csv.reader((folder / "run" / "metrics.csv").read_text().splitlines())) for folder in (whole, cut)]
    assert tables[0] == tables[1]
    assert [row[0] for row in tables[0][1:]] == [str(i) for i in range(1, 10)]
    evaluated = [row[0] for row in tables[0][1:] if row[tables[0][0].index("bbox/AP")]]
    assert evaluated == ["3", "6", "9"]
    lines = [(folder / "run" / "metrics.json").read_text().count('"iteration"') for folder in (whole, cut)]
    assert lines[0] == lines[1]
