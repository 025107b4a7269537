"""Rules of the house: which package imports which, what loads what, lengths, and the Makefile's first sentences."""

import importlib.util
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tools.check_house import too_long, violations, wrong_imports

ROOT = Path(__file__).resolve().parent.parent


def test_importing_the_package_loads_no_host_and_no_picture_library():
    heavy = ["torchvision", "lightning", "detectron2", "cv2", "matplotlib", "triton"]
    code = f"import sys, sampling_free; print([m for m in {heavy} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert output.stdout.strip() == "[]"


def test_the_five_lines_need_torch_and_torchvision_alone():
    heavy = ["lightning", "hydra", "omegaconf", "cv2", "fvcore", "pycocotools", "timm", "matplotlib", "detectron2"]
    code = f"import sys, sampling_free.torchvision; print([m for m in {heavy} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert output.stdout.strip() == "[]"


def test_no_folder_of_ours_is_taken_for_detectron2():
    spec = importlib.util.find_spec("detectron2")
    if spec is None:
        pytest.skip("detectron2 is not installed: `make setup-detectron2`")
    # a folder without __init__.py is found as a package without origin
    assert spec.origin is not None
    origin = Path(spec.origin).resolve()
    assert not any(ROOT / folder in origin.parents for folder in ("tests", "sampling_free", "configs"))


def test_every_test_folder_is_a_package():
    folders = {file.parent for file in (ROOT / "tests").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize(
    ("file", "line", "name"),
    [
        ("__init__.py", "from sampling_free import torchvision", "sampling_free.torchvision"),
        ("mechanism/new.py", "import torchvision", "torchvision"),
        ("mechanism/new.py", "from sampling_free.heuristics import FocalLoss", "sampling_free.heuristics.FocalLoss"),
        ("heuristics/new.py", "from torchvision.models import resnet", "torchvision.models.resnet"),
        ("heuristics/new.py", "from sampling_free.detectors import dense", "sampling_free.detectors.dense"),
        ("detectors/new.py", "def f():\n    import detectron2.layers", "detectron2.layers"),
        ("data/new.py", "from torch import nn", "torch.nn"),
        ("runs/new.py", "import lightning", "lightning"),
        ("runs/new.py", "from sampling_free.torchvision import loading", "sampling_free.torchvision.loading"),
        ("torchvision/new.py", "from sampling_free.detectron2 import x", "sampling_free.detectron2.x"),
        ("detectron2/new.py", "from sampling_free import torchvision", "sampling_free.torchvision"),
    ],
)
def test_the_import_rule_catches_a_breach(tmp_path, file, line, name):
    place = tmp_path / file
    place.parent.mkdir(exist_ok=True)
    place.write_text(f"import json\n{line}\n")
    found = next(wrong_imports(tmp_path))
    assert found.endswith(f"{file.split('/')[0]} must not import {name}")


@pytest.mark.parametrize("line", ["import lightning", "from sampling_free.torchvision.train import engine"])
def test_only_the_training_application_imports_what_only_it_needs(tmp_path, line):
    for place in ("torchvision/train", "commands"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "new.py").write_text(line)
    assert list(wrong_imports(tmp_path)) == []
    (tmp_path / "torchvision" / "method.py").write_text(line)
    (found,) = wrong_imports(tmp_path)
    assert "method.py:1: the method must not import" in found


def test_the_import_rule_lets_pass_what_is_allowed(tmp_path):
    (tmp_path / "heuristics").mkdir()
    allowed = ["from torchvision.ops import box_iou", "from sampling_free.mechanism import AllExamples", "import json"]
    (tmp_path / "heuristics" / "new.py").write_text("\n".join(allowed))
    assert list(wrong_imports(tmp_path)) == []


@pytest.mark.parametrize(("lines", "breaches"), [(59, 0), (60, 1), (349, 1), (350, 2)])
def test_lengths_are_noticed(tmp_path, lines, breaches):
    file = tmp_path / "long.py"
    file.write_text("def f():\n" + "    x = 1\n" * lines)
    assert len(list(too_long(file))) == breaches


def test_the_house_is_in_order():
    assert list(violations(ROOT)) == []


def checkout(folder: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy2(ROOT / name, folder)
    return folder


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("python", ["false", "no-such-python"])  # an old one answers like `false`
def test_a_python_that_will_not_do_is_told_in_a_sentence(tmp_path, python):
    run = make(checkout(tmp_path), "setup", f"PYTHON={python}")
    assert run.returncode != 0
    assert "error: Python 3.10 or newer is needed" in run.stderr
    assert not (tmp_path / ".venv").exists()


def test_setup_is_done_once_and_again_when_the_versions_change(tmp_path):
    stamps = [checkout(tmp_path) / ".venv" / name for name in (".ready", ".ready-detectron2")]
    stamps[0].parent.mkdir()
    for stamp in stamps:
        stamp.touch()
    assert make(tmp_path, "-q", "setup").returncode == make(tmp_path, "-q", "setup-detectron2").returncode == 0
    os.utime(tmp_path / "constraints.txt", (stamps[1].stat().st_mtime + 10,) * 2)
    assert make(tmp_path, "-q", "setup").returncode == make(tmp_path, "-q", "setup-detectron2").returncode == 1


@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_test_finds_no_litter_and_the_same_random_numbers(turn):
    assert "SAMPLING_FREE_LITTER" not in os.environ
    assert not torch.are_deterministic_algorithms_enabled()
    assert random.random() == random.Random(0).random()
    assert np.random.rand() == np.random.RandomState(0).rand()
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(0)))
    os.environ["SAMPLING_FREE_LITTER"] = "for the next to find"
    torch.use_deterministic_algorithms(True)
