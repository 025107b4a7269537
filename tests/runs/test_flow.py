"""What a resumed run takes from its config, and how a run ends by a signal; on both hosts, with real training."""

import csv
import os
import signal
import time

import pytest
import torch
import yaml

from sampling_free.commands import train
from tests.runs.hosts import HOSTS, host_of

pytestmark = pytest.mark.filterwarnings("default")  # of the hosts' libraries


def rates(folder):
    return [float(row["lr"]) for row in csv.DictReader((folder / "run" / "metrics.csv").read_text().splitlines())]


@pytest.mark.parametrize("name", HOSTS)
def test_a_resumed_run_trains_at_the_rate_of_its_config(tmp_path, name, capsys):
    host = host_of(name)
    flat = ["train.prior=0.01", "train.eval_period=0", "lr_multiplier.schedulers.0.start_value=1"]
    flat += ["lr_multiplier.schedulers.1.values=[1,1]"]
    for overrides, options in (
        (["train.max_iter=2", "optimizer.lr=0.01"], ()),
        (["train.max_iter=4", "optimizer.lr=0.002", "optimizer.momentum=0.5"], ["--resume"]),
    ):
        assert train.main(host.arguments(tmp_path, *flat, *overrides, options=options)) == 0
    assert rates(tmp_path) == pytest.approx([0.01, 0.01, 0.002, 0.002])
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["optimizer"]["lr"] == 0.002
    (last,) = (tmp_path / "run" / "checkpoints").glob("last.*")
    state = torch.load(last, weights_only=True)
    optimizer = state["optimizer_states"][0] if name == "torchvision" else state["trainer"]["optimizer"]
    assert {group["momentum"] for group in optimizer["param_groups"]} == {0.5}
    assert last.with_name(f"older{last.suffix}").is_file()
    # what only the beginning reads is refused, and nothing else has changed
    argv = host.arguments(tmp_path, *flat, "train.max_iter=5", "train.prior=0.02", options=["--resume"])
    assert "train.prior was 0.01 when the run" in host.failing(capsys, argv)


@pytest.mark.parametrize("name", HOSTS)
def test_a_terminated_run_says_how_to_go_on(tmp_path, name, monkeypatch):
    host = host_of(name)
    # a queue's variables for one task are no business of a run's
    for variable, value in {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "run", "SLURM_JOB_ID": "7"}.items():
        monkeypatch.setenv(variable, value)
    argv = host.arguments(
        tmp_path, "train.max_iter=100000", "train.eval_period=0", "train.prior=0.01", "dataloader.train.num_workers=1"
    )
    process = host.start(argv, start_new_session=True)
    log = tmp_path / "run" / "metrics.csv"
    while not (log.is_file() and len(log.read_text().splitlines()) > 2):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 143, said
    assert "terminated; --resume goes on" in said and "Traceback" not in said and "srun" not in said


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize(
    "override",
    [
        *("train.max_iter=null", "train.seed=1e400", "train.seed=123456789012345678901234567890", "train.prior=[1]"),
        *("train.log_period=-1", "train.clip_grad=nan", "train.output_dir=null", "train.output_dir=", "train=null"),
        *("optimizer=null", "optimizer.lr=-1", "optimizer.lr=null", "optimizer.lr=fast", "lr_multiplier=null"),
        *("model=null", "model=3", "dataloader=null", "dataloader.train=null", "dataloader.test=[]"),
        *("dataloader.train.total_batch_size=null", "dataloader.train.total_batch_size=1.5"),
        *("dataloader.train.num_workers=-1", "dataloader.test.num_workers=two", "dataloader.test.batch_size=0"),
        "train.init_checkpoint=7",
    ],
)
def test_a_value_that_makes_no_sense_is_one_sentence(tmp_path, name, override, capsys):
    host = host_of(name)
    said = host.failing(capsys, host.arguments(tmp_path, override))
    assert len(said) < 400
    assert not list(tmp_path.glob("run/*"))


@pytest.mark.parametrize(("name", "override"), [("torchvision", "train.ema=[1]"), ("detectron2", "train.amp=true")])
def test_a_value_of_one_host_that_makes_no_sense_is_one_sentence(tmp_path, name, override, capsys):
    host = host_of(name)
    assert override.split("=")[0] in host.failing(capsys, host.arguments(tmp_path, override))
