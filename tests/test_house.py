"""Rules of the house: imports, names, options."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tools.check_house import violations

ROOT = Path(__file__).resolve().parent.parent


def test_importing_the_package_loads_no_host_and_no_picture_library():
    heavy = ["torchvision", "lightning", "detectron2", "cv2", "matplotlib", "triton"]
    code = f"import sys, sampling_free; print([m for m in {heavy} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert output.stdout.strip() == "[]"


def test_no_test_folder_is_taken_for_detectron2():
    spec = importlib.util.find_spec("detectron2")
    if spec is None:
        pytest.skip("detectron2 is not installed: `make setup-detectron2`")
    tracked = ROOT / "tests"
    assert spec.origin is not None and tracked not in Path(spec.origin).parents


def test_every_test_folder_is_a_package():
    folders = {file.parent for file in (ROOT / "tests").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize(
    ("room", "line", "message"),
    [
        ("mechanism", "import torchvision", "mechanism must not import torchvision"),
        ("mechanism", "from sampling_free.torchvision import x", "mechanism must not import sampling_free.torchvision"),
        ("data", "from torch import nn", "data must not import torch"),
        ("torchvision", "from sampling_free.detectron2 import x", "must not import sampling_free.detectron2"),
        ("detectron2", "from sampling_free import torchvision", "must not import sampling_free.torchvision"),
    ],
)
def test_the_import_rule_catches_a_breach(tmp_path, room, line, message):
    (tmp_path / room).mkdir()
    (tmp_path / room / "new.py").write_text(f"{line}\n")
    assert [found for found in violations(tmp_path) if message in found]


def test_ceilings_are_noticed(tmp_path):
    (tmp_path / "long.py").write_text("def f():\n" + "    x = 1\n" * 401)
    assert len(list(violations(tmp_path))) == 2


def test_the_house_is_in_order():
    assert list(violations(ROOT / "sampling_free")) == []
