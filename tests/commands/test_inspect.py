"""`sampling-free inspect DATA`: its figures are those that training counts."""

import csv

import pytest
from PIL import Image

from sampling_free import config
from sampling_free.commands import inspect, train_folder
from sampling_free.torchvision import fit_prior
from tests.commands import layouts


@pytest.fixture(scope="module")
def inspected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspected")
    layouts.coco(folder / "shapes")
    arguments = [str(folder / "shapes"), "--backbone", "small", "--output", str(folder / "out")]
    assert inspect.main(arguments) == 0
    return folder


def table(folder, name):
    with (folder / "out" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("detector", ["retinanet", "faster_rcnn", "atss"])
def test_foreground_is_what_training_counts(inspected, tmp_path, detector):
    arguments = [str(inspected / "shapes"), "--backbone", "small", "--detector", detector, "--output", str(tmp_path)]
    assert train_folder.main([*arguments, "--dry-run"]) == 0
    cfg = config.load(tmp_path / "config.py")
    cfg.dataloader.train.dataset.transforms = cfg.dataloader.test.dataset.transforms  # no flips
    dataset = config.instantiate(cfg.dataloader.train.dataset)
    statistics = fit_prior(config.instantiate(cfg.model), dataset)
    rows = [row for row in table(inspected, "foreground") if row["detector"] == detector]
    (whole,) = [row for row in rows if row["level"] == "all"]
    assert int(whole["foreground"]) == int(statistics.num_foreground)
    assert int(whole["examples"]) == int(statistics.num_examples)
    assert float(whole["prior"]) == pytest.approx(statistics.prior)
    assert float(whole["bias"]) == pytest.approx(statistics.bias)
    # levels and classes add up, and no class is missing
    assert sum(int(row["foreground"]) for row in rows if row["level"] != "all") == int(whole["foreground"])
    classes = {row["class"] for row in rows} - {"all"}
    assert classes == ({"object"} if detector == "faster_rcnn" else {"circle", "square", "triangle", "star", "cross"})


def test_classes_are_counted_and_a_picture_is_drawn(inspected):
    rows = table(inspected, "classes")
    counts = {split: content for split, content in layouts.contents(inspected / "shapes")}
    for split, content in counts.items():
        assert sum(int(row["boxes"]) for row in rows if row["split"] == split) == len(content["annotations"])
    with Image.open(inspected / "out" / "inspect.png") as picture:
        assert min(picture.size) > 900
