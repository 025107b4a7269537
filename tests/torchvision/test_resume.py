import csv
import signal
import time

import torch

from tests.torchvision.runs import arguments, start

# evaluation and checkpoints fall together (6) and apart; EMA, momentum, warm-up, workers and flips are all in it
OVERRIDES = [
    "train.max_iter=9",
    "train.eval_period=3",
    "train.checkpoint_period=2",
    "train.ema=0.9",
    "train.patience=5",
    "dataloader.train.num_workers=2",
]


def iterations(folder):
    file = folder / "run" / "metrics.csv"
    return len(file.read_text().splitlines()) - 1 if file.is_file() else 0


def killed_at(folder, iteration, *options):
    """Start a run and kill it as soon as its log shows an iteration; returns where it said that it started."""
    process = start(arguments(folder, *OVERRIDES, options=options))
    while iterations(folder) < iteration:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def finished(folder, *options):
    process = start(arguments(folder, *OVERRIDES, options=options))
    _, said = process.communicate()
    assert process.returncode == 0, said
    return said


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


def test_a_run_killed_twice_ends_as_the_one_that_was_not(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    finished(whole)
    killed_at(cut, 1)  # before any checkpoint
    assert not list(cut.glob("run/checkpoints/*.ckpt"))
    killed_at(cut, 6, "--resume")
    said = finished(cut, "--resume")
    assert "resuming" in said and "of 9" in said

    for name in ("last.ckpt", "best.ckpt"):
        files = [folder / "run" / "checkpoints" / name for folder in (whole, cut)]
        a, b = (torch.load(file, weights_only=True) for file in files)
        for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers"):
            assert a[part] and differing(a[part], b[part]) == [], (name, part)
        assert a["global_step"] == b["global_step"]
        assert differing(a["callbacks"], b["callbacks"]) == [], name
    assert any(not torch.equal(v, a["current_model_state"][k]) for k, v in a["state_dict"].items())

    tables = [list(csv.reader((folder / "run" / "metrics.csv").read_text().splitlines())) for folder in (whole, cut)]
    assert tables[0] == tables[1]
    steps = [row[0] for row in tables[0][1:]]
    evaluated = [row[0] for row in tables[0][1:] if row[tables[0][0].index("bbox/AP")]]
    assert steps == [str(i) for i in range(1, 10)]
    assert evaluated == ["3", "6", "9"]
