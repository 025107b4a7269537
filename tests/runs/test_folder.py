import json

import pytest
import torch

from sampling_free.errors import UserError
from sampling_free.runs.folder import save_whole, set_aside, writable, write_result


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    assert writable(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="output folder .*file/run cannot be written"):
        writable(tmp_path / "file" / "run")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_former_run_is_set_aside(tmp_path):
    for number in range(2):
        save_whole({"number": number}, tmp_path / "checkpoints" / "last.pth")
        write_result(tmp_path, {"bbox/AP": 1.0}, iterations=3, seconds_per_iteration=None, peak_memory_mb=1.0)
        set_aside(tmp_path)
    assert torch.load(tmp_path / "checkpoints.previous" / "last.pth") == {"number": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoints.previous"]


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
