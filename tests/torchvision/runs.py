"""A training run small enough for a test: a detector of the shapes configs on 24 generated images of 64 px."""

import os
import subprocess
import sys
from pathlib import Path

from sampling_free.commands import train

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs" / "torchvision"
SETTINGS = "{num_train: 24, num_val: 6, size: 64}"


def arguments(folder, *overrides, config="retinanet.py:shapes", options=()):
    """Arguments of train_net.py for a run in `folder`/run of two iterations on the data of `folder`/data."""
    data = [f"dataloader.{split}.dataset.root={folder}/data" for split in ("train", "test")]
    data += [f"+dataloader.{split}.dataset.settings={SETTINGS}" for split in ("train", "test")]
    data += ["dataloader.train.total_batch_size=2", "dataloader.train.num_workers=0"]
    data += ["+model.size=64", "model.weights_backbone=null"]
    run = [f"train.output_dir={folder}/run", "train.max_iter=2", "train.log_period=1"]
    return ["--config-file", str(CONFIGS / config), *options, *data, *run, *overrides]


def train_net():
    """The module of the training command."""
    return train


def failing(capsys, argv, status=2, *, last=True):
    """The one sentence that a command line says when it fails; not the last line where a list follows."""
    capsys.readouterr()
    assert train_net().main(argv) == status
    lines = capsys.readouterr().err.strip().splitlines()
    said = [line for line in lines if line.startswith(("error: ", "diverged: "))]
    assert len(said) == 1 and (said[0] == lines[-1]) == last, lines
    assert "Traceback" not in "".join(lines)
    return said[0]


def start(arguments, **options):
    """train_net.py in a process of its own, on one thread: the tests' machine has few cores."""
    command = [sys.executable, str(ROOT / "train_net.py"), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, **pipes | options)
