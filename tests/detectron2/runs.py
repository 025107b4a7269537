"""A training run small enough for a test: a detector of the shapes configs on 24 generated images of 64 px."""

import contextlib
import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import termios
import time

import torch

from tests.torchvision.runs import ROOT, failing, start, train_net

__all__ = ["CONFIGS", "ROOT", "arguments", "failing", "finished", "killed_at", "start", "train_net"]

CONFIGS = ROOT / "configs" / "detectron2"
SETTINGS = "{num_train: 24, num_val: 6, size: 64}"


def arguments(folder, *overrides, config="retinanet.py:shapes", options=()):
    """Arguments of train_net.py for a run in `folder`/run of two iterations on the data of `folder`/data."""
    data = [f"dataloader.{split}.dataset.root={folder}/data" for split in ("train", "test")]
    data += [f"dataloader.{split}.dataset.settings={SETTINGS}" for split in ("train", "test")]
    data += ["dataloader.train.total_batch_size=2", "dataloader.train.num_workers=0"]
    run = [f"train.output_dir={folder}/run", "train.max_iter=2", "train.log_period=1", "train.eval_period=0"]
    return ["--config-file", str(CONFIGS / config), *options, *data, *run, *overrides]


def finished(*options, **environment):
    """Run train_net.py in a process of its own; returns what it said."""
    process = start(*options, **environment)
    out, said = process.communicate()
    assert process.returncode == 0, said
    return out + said


def iterations(folder):
    file = folder / "run" / "metrics.csv"
    return len(file.read_text().splitlines()) - 1 if file.is_file() else 0


def killed_at(folder, iteration, argv):
    """Start a run and kill it as soon as its log shows an iteration."""
    process = start(argv)
    while iterations(folder) < iteration:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def torchrun(argv, processes):
    """The environment and command of the processes that torchrun would start; returns them started."""
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29611", "TORCHELASTIC_RUN_ID": "test"}
    world = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    os.environ.update(rendezvous | world)
    started = []
    for rank in range(processes):
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
        started.append(start(argv))
    return started


def on_machines(folder, *overrides, machines=2):
    """Start a run of one process on each of several machines, all of them this one; what each said, its status last."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    common = ["--num-machines", str(machines), "--dist-url", url]
    started = [
        start(arguments(folder, *overrides, options=[*common, "--machine-rank", str(rank)])) for rank in range(machines)
    ]
    return [(*process.communicate(), process.returncode) for process in started]


def seen_on_a_terminal(argv):
    """Run train_net.py with a terminal of 150 columns for its standard error; returns what that shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, 150, 0, 0))
    process = start(argv, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal's end, on Linux
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait() == 0, shown
    return shown.decode()


def weights(folder, name="last"):
    """The model's weights in a checkpoint of a run."""
    return torch.load(folder / "run" / "checkpoints" / f"{name}.pth", weights_only=True)["model"]
