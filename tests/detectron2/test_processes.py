"""Several CPU processes train as one does, however they are started, and speak with one voice."""

import json
from pathlib import Path

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import torch
import torch.multiprocessing as mp
from torch import nn

from sampling_free.detectron2.train.training import DetectorTrainer
from sampling_free.errors import DivergedError
from tests.detectron2.runs import arguments, finished, on_machines, start, torchrun, weights

# BatchNorm sees the images of its own process alone, so two processes train as one only without it
FROZEN = ["model.backbone.bottom_up.stem.norm=GN"]
FROZEN += [f"model.backbone.bottom_up.stages.{stage}.norm=GN" for stage in range(3)]
OVERRIDES = ["train.max_iter=3", "dataloader.train.total_batch_size=4", *FROZEN]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    finished(arguments(folder, *OVERRIDES))
    return folder


def assert_same_training(a, b):
    ours, theirs = weights(a), weights(b)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if name.endswith("normalizer.count.running"):  # foreground of a process: its part of the batch is half as large
            continue
        torch.testing.assert_close(theirs[name], value, rtol=1e-5, atol=1e-5, msg=name)


def test_two_processes_end_with_the_weights_of_one(alone, tmp_path):
    said = finished(arguments(tmp_path, *OVERRIDES, options=["--num-gpus", "2"]))
    assert_same_training(alone, tmp_path)
    assert len([line for line in said.splitlines() if line.startswith("bbox/AP ")]) == 1
    assert said.count("Foreground: ") == 1
    assert json.loads((tmp_path / "run" / "result.json").read_text())["iterations"] == 3
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 4


def test_two_processes_with_proposals_too(tmp_path):
    """Each process has as many examples as its images give, and yet all weigh the same."""
    overrides = [*OVERRIDES, "model.backbone.bottom_up.stages.3.norm=GN", "train.max_iter=2"]
    for folder, options in ((tmp_path / "one", []), (tmp_path / "two", ["--num-gpus", "2"])):
        finished(arguments(folder, *overrides, config="faster_rcnn.py:shapes", options=options))
    assert_same_training(tmp_path / "one", tmp_path / "two")


def test_torchrun_starts_them_too(alone, tmp_path):
    processes = torchrun(arguments(tmp_path, *OVERRIDES), 2)
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert_same_training(alone, tmp_path)
    assert ["bbox/AP " in out for out, _ in said] == [True, False]


def test_two_machines_train_as_one_process_does(alone, tmp_path):
    said = on_machines(tmp_path, *OVERRIDES)
    assert [status for *_, status in said] == [0, 0], said
    assert_same_training(alone, tmp_path)
    assert ["bbox/AP " in out for out, *_ in said] == [True, False]
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 4


def test_a_mistake_is_one_sentence(tmp_path):
    process = start(arguments(tmp_path, "train.init_checkpoint=nowhere.pth", options=["--num-gpus", "2"]))
    _, said = process.communicate()
    assert process.returncode == 2
    assert said.splitlines()[-1] == "error: there are no weights at nowhere.pth; check the path"
    assert "Traceback" not in said


def test_divergence_is_noticed_by_every_process(tmp_path):
    argv = arguments(tmp_path, "train.max_iter=9", "train.prior=0.01", "optimizer.lr=1e30", options=["--num-gpus", "2"])
    process = start(argv)
    _, said = process.communicate()
    assert process.returncode == 3, said
    last = said.splitlines()[-1]
    assert last.startswith("diverged: training diverged in iteration ") and "loss_" in last and "of images [" in last
    assert json.loads((tmp_path / "run" / "result.json").read_text())["diverged"]


def test_divergence_is_said_on_every_machine(tmp_path):
    said = on_machines(tmp_path, "train.max_iter=9", "train.prior=0.01", "optimizer.lr=1e30")
    assert [status for *_, status in said] == [3, 3], said
    first, second = (error.splitlines()[-1] for _, error, _ in said)
    assert first == second and first.startswith("diverged: training diverged in iteration ")
    assert "loss_" in first and "of images [" in first


class Brittle(nn.Module):
    """Two losses, one of them infinite for an image of the second process in the second iteration."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, batch):
        worst = max(float("inf") if item["image_id"] == 13 else 1.0 for item in batch)
        return {"loss_cls": self.weight * worst, "loss_box_reg": self.weight}


def _diverge(rank, folder):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    numbers = [[0, 1], [2, 3]] if rank == 0 else [[10, 11], [12, 13]]
    model = Brittle()
    batches = [[{"image_id": number} for number in batch] for batch in numbers]
    trainer = DetectorTrainer(model, batches, torch.optim.SGD(model.parameters(), lr=0.1))
    try:
        trainer.train(0, 3)
    except DivergedError as error:
        Path(folder, str(rank)).write_text(str(error))
    torch.distributed.destroy_process_group()


def test_every_process_names_the_images_of_the_one_whose_loss_is_not_finite(tmp_path):
    mp.spawn(_diverge, args=(str(tmp_path),), nprocs=2)
    first, second = ((tmp_path / str(rank)).read_text() for rank in range(2))
    assert first == second
    assert first.startswith("training diverged in iteration 2: loss_cls of images [12, 13] is not finite; lower the")
