"""`sampling-free train DATA`: three layouts of one data set, each trained with one command from an empty folder."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from sampling_free import config
from sampling_free.commands import train_folder
from sampling_free.own_data.choices import DETECTORS
from tests.commands import layouts

HOSTS = ["torchvision"] + ["detectron2"] * (importlib.util.find_spec("detectron2") is not None)
SMALL = ["--backbone", "small", "--epochs", "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    root = layouts.coco(folder / "coco")
    layouts.voc(root, folder / "voc")
    layouts.yolo(root, folder / "yolo")
    return folder


def sampling_free(folder, *arguments):
    command = [sys.executable, "-m", "sampling_free", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("layout", "host", "detector", "sentence"),
    [
        ("coco", HOSTS[-1], "mask_rcnn", "COCO's format"),
        ("voc", HOSTS[-1], "retinanet", "VOC's layout"),
        ("yolo", "torchvision", "faster_rcnn", "YOLO's layout, described by data.yaml"),
    ],
)
def test_one_command_trains_from_an_empty_folder(data, tmp_path, layout, host, detector, sentence):
    options = ["--host", host, "--detector", detector, *SMALL, "--size", "64", "train.max_iter=2"]
    done = sampling_free(tmp_path, "train", data / layout, *options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"is a data set in {sentence}: 12 images to train on, 4 images to evaluate on" in done.stdout
    output = tmp_path / "output" / layout / detector
    assert "bbox/AP" in json.loads((output / "run" / "result.json").read_text())["metrics"]
    # the file that it wrote is an ordinary config
    again = sampling_free(tmp_path, "evaluate", "--config-file", output / "config.py")
    assert again.returncode == 0 and "bbox/AP" in again.stdout, again.stderr[-2000:]


def test_the_own_form_is_trained_beside_ours(data, tmp_path):
    options = [*SMALL, "--size", "64", "--compare", "train.max_iter=2", "--output", "here"]
    done = sampling_free(tmp_path, "train", data / "yolo", *options)
    assert done.returncode == 0, done.stderr[-2000:]
    table = (tmp_path / "here" / "compare" / "table.md").read_text()
    assert "| RetinaNet, own form |" in table and "| RetinaNet, Sampling-Free |" in table


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("detector", DETECTORS)
def test_every_detector_is_written_and_built_in_both_forms(data, tmp_path, host, detector, capsys):
    arguments = [str(data / "coco"), "--host", host, "--detector", detector, "--output", str(tmp_path / "o"), *SMALL]
    status = train_folder.main([*arguments, "--dry-run"])
    if (host, detector) == ("torchvision", "cascade_rcnn"):
        assert status == 2 and "add --host detectron2" in capsys.readouterr().err
        return
    assert status == 0
    for file, ours in (("config.py", True), ("own.py", False)):
        cfg = config.load(tmp_path / "o" / file)
        model = config.instantiate(cfg.model, "model")
        scaled = any(type(m).__name__ in ("GuidedScaling", "LearnedScaling") for m in model.modules())
        assert scaled == ours
        assert cfg.train.prior == ("auto" if ours else None)


def test_a_split_is_made_seeded_and_written_down(data, tmp_path, capsys):
    file = data / "coco" / "annotations" / "instances_train.json"
    held = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        output = tmp_path / name
        arguments = [str(file), *SMALL, "--output", str(output), "--seed", str(seed), "--dry-run"]
        assert train_folder.main(arguments) == 0
        assert f"20% of the training images are held out by seed {seed}" in capsys.readouterr().out
        parts = [json.loads((output / "data" / f"{part}.json").read_text())["images"] for part in ("train", "val")]
        names = [{image["file_name"] for image in part} for part in parts]
        assert len(names[0]) == 10 and len(names[1]) == 2 and not names[0] & names[1]
        held.append(names[1])
    assert held[0] == held[1] != held[2]


def test_choices_follow_the_data_and_are_said_with_their_reasons(data, tmp_path, capsys):
    arguments = [str(data / "coco"), "--backbone", "small", "--output", str(tmp_path / "o"), "--dry-run"]
    assert train_folder.main(arguments) == 0
    said = capsys.readouterr().out
    assert "5 classes: circle, square, triangle, star, cross" in said
    assert "as large as the images are" in said and "0.04 for a batch of 16, in proportion" in said
    cfg = config.load(tmp_path / "o" / "config.py")
    assert cfg.model.model.num_classes == 6 and cfg.model.model.size == 64
    assert cfg.dataloader.train.total_batch_size == 3  # a fourth of the images
    assert cfg.optimizer.lr == pytest.approx(0.04 * 3 / 16) and cfg.train.max_iter == 300 * 4
    multiplier = config.instantiate(cfg.lr_multiplier)
    assert [round(multiplier(x), 3) for x in (0, 0.5, 0.7, 0.95)] == [0.1, 1, 0.1, 0.01]


def test_a_config_that_is_there_is_not_overwritten(data, tmp_path, capsys):
    arguments = [str(data / "coco"), *SMALL, "--output", str(tmp_path), "--dry-run"]
    (tmp_path / "config.py").write_text("mine = 1")
    assert train_folder.main(arguments) == 2
    assert "is there already" in capsys.readouterr().err and (tmp_path / "config.py").read_text() == "mine = 1"


def test_masks_are_required_where_masks_train(data, tmp_path, capsys):
    arguments = [str(data / "voc"), *SMALL, "--detector", "mask_rcnn", "--output", str(tmp_path / "o")]
    assert train_folder.main(arguments) == 2
    assert "objects have none" in capsys.readouterr().err
