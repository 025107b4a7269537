import json
import resource
import subprocess
import sys

import pytest
import torch

from sampling_free.errors import UserError
from sampling_free.runs.folder import in_use, open_folder, save_whole, set_aside, write_result


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    assert open_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="output folder .*file/run cannot be written"):
        open_folder(tmp_path / "file" / "run")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_former_run_is_set_aside(tmp_path):
    for number in range(2):
        save_whole({"number": number}, tmp_path / "checkpoints" / "last.pth")
        write_result(tmp_path, {"bbox/AP": 1.0}, iterations=3, seconds_per_iteration=None, peak_memory_mb=1.0)
        set_aside(tmp_path)
    assert torch.load(tmp_path / "checkpoints.previous" / "last.pth") == {"number": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoints.previous"]


@pytest.mark.parametrize("folder", ["", " ", None, 2024])
def test_a_folder_without_a_name_is_refused(folder):
    with pytest.raises(UserError, match="train.output_dir must be the path of a folder"):
        open_folder(folder)


def test_a_folder_of_another_project_is_refused_and_stays(tmp_path):
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "config.yaml").write_text("engine: steam\n")
    with pytest.raises(UserError, match="is not empty and holds no run"):
        open_folder(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["config.yaml", "tensorboard"]
    (tmp_path / "config.yaml").write_text("engine: sampling_free.torchvision.train.engine\ntrain: {}\n")
    assert open_folder(tmp_path) == tmp_path


def test_logs_and_evaluations_do_not_make_a_folder_another_s(tmp_path):
    for name in ("slurm-3.out", "coco_results_bbox.json", "precision_recall.json"):
        (tmp_path / name).touch()
    assert open_folder(tmp_path) == tmp_path


def test_what_a_run_did_not_write_stays_in_its_folder(tmp_path):
    mine = [tmp_path / name / "mine.txt" for name in ("tensorboard", "checkpoints", "checkpoints.previous")]
    for file in mine:
        file.parent.mkdir()
        file.touch()
    save_whole({}, tmp_path / "checkpoints" / "last.ckpt")
    (tmp_path / "tensorboard" / "events.out.tfevents.1").touch()
    set_aside(tmp_path)
    assert all(file.is_file() for file in mine)
    assert (tmp_path / "checkpoints.previous" / "last.ckpt").is_file()
    assert not (tmp_path / "tensorboard" / "events.out.tfevents.1").exists()


def test_two_runs_at_once_are_refused_until_the_first_has_died(tmp_path):
    hold = f"""
import os, sys, time
from pathlib import Path
from sampling_free.runs.folder import in_use
with in_use(Path({str(tmp_path)!r}), first=True):
    if os.fork() == 0:  # as a loader's worker, which may outlive its parent
        time.sleep(5)
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another run is at work in"), in_use(tmp_path, first=True):
            pass
        process.kill()
        process.wait()
        for _ in range(2):  # freed by a death, and by an end
            with in_use(tmp_path, first=True):
                pass


def test_a_full_disk_is_told_and_leaves_the_former_file(tmp_path):
    """A limit on the size of files stands for a disk that is full."""
    path = tmp_path / "last.pth"
    save_whole({"step": 1}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match="no space left for .*last.pth") as raised:
            save_whole({"weights": torch.zeros(1_000_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(raised.value)
    assert torch.load(path) == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pth"]


def test_the_last_but_one_is_kept(tmp_path):
    for step in range(3):
        save_whole({"step": step}, tmp_path / "last.pth", keep_as=tmp_path / "older.pth")
    assert [torch.load(tmp_path / f"{name}.pth")["step"] for name in ("older", "last")] == [1, 2]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["last.pth", "older.pth"]


def test_the_result_says_why_a_run_ended(tmp_path):
    write_result(tmp_path, {}, iterations=3, seconds_per_iteration=0.5, peak_memory_mb=7.0, diverged="loss_cls")
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["diverged"], result["reason"], result["iterations"]) == (True, "loss_cls", 3)


def test_a_write_that_fails_leaves_the_former_file(tmp_path):
    path = tmp_path / "last.pth"
    save_whole({"step": 1}, path)
    with pytest.raises(AttributeError):
        save_whole({"unsavable": lambda: 0}, path)
    assert torch.load(path) == {"step": 1}
