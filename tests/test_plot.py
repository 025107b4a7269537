"""The command `sampling-free plot`."""

import subprocess
import sys

import pytest
from PIL import Image

from sampling_free.commands import command_line, plot


@pytest.fixture
def runs(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text("step,classification,bbox_regression\n1,2,1\n2,1.5,1\n")
    return tmp_path


def plotted(*arguments):
    return command_line.run(plot.command, [str(argument) for argument in arguments])


def test_runs_are_drawn_where_told(runs, capsys):
    assert plotted(runs / "a", runs / "b", "--output", runs / "new" / "folder") == 0
    written = capsys.readouterr().out.split()
    assert written == [str(runs / "new" / "folder" / f) for f in ("losses.png", "precision_recall.png")]
    for path in written:
        with Image.open(path) as picture:
            assert min(picture.size) > 300


def test_shares_of_the_gradient_are_drawn_where_a_run_logged_them(runs, capsys):
    columns = "gradient/rpn/classification,gradient/roi_heads/classification"
    (runs / "b" / "metrics.csv").write_text(f"step,classification,{columns}\n1,2,0.2,0.4\n2,1.5,0.3,\n")
    assert plotted(runs / "a", runs / "b", "--output", runs) == 0
    assert capsys.readouterr().out.split()[2:] == [str(runs / "gradients.png")]
    with Image.open(runs / "gradients.png") as picture:
        assert min(picture.size) > 300


def test_one_run_is_drawn_into_its_pictures_and_several_beside_them(runs):
    assert plotted(runs / "a") == plotted(runs / "a", runs / "b") == 0
    assert (runs / "a" / "pictures" / "losses.png").is_file()
    assert (runs / "pictures" / "losses.png").is_file()


def test_runs_of_one_name_are_told_apart_by_their_paths(runs):
    paths = [runs / "x" / "a", runs / "a"]
    assert plot._names(paths) == [str(path) for path in paths]
    assert plot._names([runs / "a", runs / "b"]) == ["a", "b"]


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    command = [sys.executable, "-m", "sampling_free.commands.plot", str(tmp_path / "nothing")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    sentence = f"there is no folder {tmp_path / 'nothing'}; give the output folder of a run (train.output_dir)"
    assert done.stderr == f"error: {sentence}\n"


def test_a_folder_without_figures_and_one_that_cannot_be_written(runs, capsys):
    (runs / "empty").mkdir()
    assert plotted(runs / "empty") == 2
    assert "is " + str(runs / "empty") + " the output folder of a run?" in capsys.readouterr().err
    (runs / "file").touch()
    assert plotted(runs / "a", "--output", runs / "file" / "pictures") == 2
    assert "cannot be written" in capsys.readouterr().err
