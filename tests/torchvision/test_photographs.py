"""The scripts of projects/photographs on a real tiny run."""

import subprocess
import sys

import pytest

from sampling_free.data import generate_shapes
from sampling_free.data.shapes import ShapesSettings
from tests.torchvision.runs import ROOT, arguments, train_net

pytestmark = pytest.mark.filterwarnings("default")  # Lightning's own warnings are not what is tested


def swept(run, *options):
    command = [sys.executable, str(ROOT / "projects" / "photographs" / "thresholds.py"), str(run), *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_thresholds_are_swept_around_the_model_s_own(tmp_path):
    generate_shapes(tmp_path / "data", ShapesSettings(num_train=24, num_val=6, size=64))
    assert train_net().main(arguments(tmp_path, "train.max_iter=1")) == 0
    done = swept(tmp_path / "run", "--thresholds", "0.9", "0")
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    assert [name.partition(",")[0] for name, *_ in rows] == ["0.9", "the model's own", "0"]
    found = [float(row[3]) for row in rows]
    assert found[0] == 0 and found[0] <= found[1] <= found[2] == 300  # torchvision's most in an image
    assert all(float(row[4]) > 0 for row in rows)


def test_what_is_no_run_is_said(tmp_path):
    done = swept(tmp_path)
    assert done.returncode == 2 and "holds no run of the torchvision engine" in done.stderr
