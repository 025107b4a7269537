"""The command `sampling-free predict` with a real, untrained detector."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torchvision.transforms.functional import pil_to_tensor

from sampling_free.commands import command_line, predict
from sampling_free.torchvision.models import maskrcnn_resnet10_fpn, retinanet_resnet10_fpn

CONFIG = """
from sampling_free.config import LazyCall as L
from sampling_free.torchvision.train.datasets import Shapes
from sampling_free.torchvision.models import maskrcnn_resnet10_fpn, retinanet_resnet10_fpn

engine = "sampling_free.torchvision.train.engine"
model = L({model})(num_classes=6, size=64, {least_score})
data = L(Shapes)(root="{root}", split="val", settings=dict(num_train=1, num_val=2, size=64))
dataloader = dict(test=dict(dataset=data))
"""
LEAST_SCORE = {retinanet_resnet10_fpn: "score_thresh=0.0", maskrcnn_resnet10_fpn: "box_score_thresh=0.0"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A config, weights and images."""
    place = tmp_path_factory.mktemp("predict")
    torch.manual_seed(0)
    for model in (retinanet_resnet10_fpn, maskrcnn_resnet10_fpn):
        (place / f"{model.__name__}.py").write_text(
            CONFIG.format(model=model.__name__, root=place / "shapes", least_score=LEAST_SCORE[model])
        )
        torch.save(model(num_classes=6, size=64).state_dict(), place / f"{model.__name__}.pt")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    for folder in ("images", "more"):
        (place / folder).mkdir()
        Image.fromarray(pixels).save(place / folder / "noise.png")
    Image.fromarray(pixels[::-1]).save(place / "images" / "upside-down.jpg")
    return place


def predicted(place, *arguments, model="retinanet_resnet10_fpn", weights=None):
    weights = weights or place / f"{model}.pt"
    fixed = ["--config-file", place / f"{model}.py", "--weights", weights]
    return command_line.run(predict.command, [str(argument) for argument in (*fixed, *arguments)])


def test_detections_are_the_model_s(place, tmp_path, capsys):
    model = retinanet_resnet10_fpn(num_classes=6, size=64, score_thresh=0.0).eval()
    model.load_state_dict(torch.load(place / "retinanet_resnet10_fpn.pt", weights_only=True))
    with torch.no_grad():
        (expected,) = model([pil_to_tensor(Image.open(place / "images" / "noise.png")) / 255])
    threshold = float(expected["scores"].median())
    kept = (expected["scores"] >= threshold) & (expected["labels"] > 0)  # 0 is torchvision's background
    assert 0 < kept.sum() < (expected["labels"] > 0).sum() < len(kept)

    assert predicted(place, place / "images", "--output", tmp_path, "--threshold", threshold) == 0
    assert str(tmp_path) in capsys.readouterr().out
    upright, _ = json.loads((tmp_path / "predictions.json").read_text())
    assert upright["image"] == str(place / "images" / "noise.png")
    assert (upright["height"], upright["width"]) == (48, 64)
    found = upright["detections"]
    assert len(found) == int(kept.sum())
    assert [d["score"] for d in found] == pytest.approx(expected["scores"][kept].tolist())
    np.testing.assert_allclose([d["box"] for d in found], expected["boxes"][kept], rtol=1e-5)
    names = ["circle", "square", "triangle", "star", "cross"]
    assert [d["name"] for d in found] == [names[label - 1] for label in expected["labels"][kept]]
    drawn = np.asarray(Image.open(tmp_path / "noise.jpg"))
    assert drawn.shape[:2] == (360, 480)


def test_the_threshold_is_the_best_one_of_the_run_s_evaluation(place, tmp_path, caplog):
    weights = tmp_path / "run" / "checkpoints" / "last.pt"
    weights.parent.mkdir(parents=True)
    weights.write_bytes((place / "retinanet_resnet10_fpn.pt").read_bytes())
    counts = []
    for threshold in (0.0, 0.011):
        (tmp_path / "run" / "analysis.json").write_text(json.dumps({"threshold": threshold}))
        with caplog.at_level("INFO"):
            assert predicted(place, place / "more", "--output", tmp_path / "out", weights=weights) == 0
        (image,) = json.loads((tmp_path / "out" / "predictions.json").read_text())
        counts.append(len(image["detections"]))
        assert all(detection["score"] >= threshold for detection in image["detections"])
    assert "score threshold 0.011, which had the best F1" in caplog.text
    assert counts[0] == 0 < counts[1]  # a threshold of 0 is that of a run without detections: 0.3 serves


def test_masks_are_written_as_coco_s(place, tmp_path):
    arguments = (place / "images" / "noise.png", "--output", tmp_path, "--threshold", "0")
    assert predicted(place, *arguments, model="maskrcnn_resnet10_fpn") == 0
    ((image),) = json.loads((tmp_path / "predictions.json").read_text())
    assert image["detections"]
    assert coco_mask.decode(image["detections"][0]["segmentation"]).shape == (48, 64)


def test_images_of_one_name_do_not_overwrite_each_other(place, tmp_path):
    assert predicted(place, place / "images" / "noise.png", place / "more", "--output", tmp_path) == 0
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == ["noise-2.jpg", "noise.jpg"]


def test_nothing_above_the_threshold_says_what_would_be(place, tmp_path, caplog):
    assert predicted(place, place / "more", "--output", tmp_path, "--threshold", "0.99") == 0
    assert "nothing scores 0.99 or more; the highest score is 0.0" in caplog.text
    assert json.loads((tmp_path / "predictions.json").read_text())[0]["detections"] == []


def test_an_image_is_turned_as_the_camera_says(place, tmp_path):
    image = Image.open(place / "more" / "noise.png")
    exif = image.getexif()
    exif[0x0112] = 6  # held upright, sensor sideways
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert predicted(place, tmp_path / "turned.jpg", "--output", tmp_path / "out") == 0
    (record,) = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (record["height"], record["width"]) == (64, 48)


def test_a_broken_image_stops_when_named_and_is_counted_in_a_folder(place, tmp_path, capsys, caplog):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a-broken.jpg").write_bytes(b"no image")
    Image.open(place / "more" / "noise.png").save(tmp_path / "in" / "b.png")
    assert predicted(place, tmp_path / "in" / "a-broken.jpg", "--output", tmp_path / "out") == 2
    assert f"error: image {tmp_path / 'in' / 'a-broken.jpg'} cannot be read" in capsys.readouterr().err
    assert predicted(place, tmp_path / "in", "--output", tmp_path / "out") == 1
    assert f"image {tmp_path / 'in' / 'a-broken.jpg'} cannot be read" in caplog.text
    assert [record["image"] for record in json.loads((tmp_path / "out" / "predictions.json").read_text())] == [
        str(tmp_path / "in" / "b.png")
    ]


def test_a_picture_that_is_scaled_to_nothing_is_left_out(place, tmp_path, caplog):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (3000, 4)).save(tmp_path / "in" / "strip.png")
    Image.open(place / "more" / "noise.png").save(tmp_path / "in" / "whole.png")
    assert predicted(place, tmp_path / "in", "--output", tmp_path / "out") == 1
    assert f"image {tmp_path}/in/strip.png: 3000 x 4 pixels are scaled to nothing; left out" in caplog.text
    assert [path.name for path in (tmp_path / "out").glob("*.jpg")] == ["whole.jpg"]


def test_names_are_those_of_the_checkpoint(place, tmp_path):
    state = torch.load(place / "retinanet_resnet10_fpn.pt", weights_only=True)
    names = {label: f"named {label}" for label in range(1, 6)}
    torch.save({"state_dict": state, "label_names": names}, tmp_path / "last.ckpt")
    arguments = (place / "more", "--output", tmp_path, "--threshold", "0")
    assert predicted(place, *arguments, weights=tmp_path / "last.ckpt") == 0
    (record,) = json.loads((tmp_path / "predictions.json").read_text())
    assert {d["name"] for d in record["detections"]} <= set(names.values())


def test_class_numbers_stand_in_where_the_data_are_elsewhere(place, tmp_path, caplog):
    elsewhere = [f"dataloader.test.dataset.root={place / 'more' / 'noise.png'}", "dataloader.test.dataset.split=none"]
    arguments = (place / "more", "--output", tmp_path, "--threshold", "0", *elsewhere)
    assert predicted(place, *arguments) == 0
    (record,) = json.loads((tmp_path / "predictions.json").read_text())
    names = {d["name"] for d in record["detections"]}
    assert names and names <= {f"class {k}" for k in range(6)}
    assert "class numbers stand for names" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jpg"], "there is no image or folder nowhere.jpg"),
        (["model.size=64"], "there is nothing to predict"),
        (["{empty}"], "holds no image"),
        (["{image}", "model.sise=64"], "did you mean 'model.size'"),
        (["{image}", "--output", "{image}/out"], "cannot be made"),
    ],
)
def test_mistakes_are_one_sentence(place, tmp_path, capsys, arguments, message):
    image = place / "more" / "noise.png"
    assert predicted(place, *(text.format(empty=tmp_path, image=image) for text in arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_weights_that_are_not_there_or_of_another_model(place, capsys):
    assert predicted(place, place / "more", weights=place / "none.ckpt") == 2
    assert f"there are no weights at {place / 'none.ckpt'}" in capsys.readouterr().err
    assert predicted(place, place / "more", weights=place / "maskrcnn_resnet10_fpn.pt") == 2
    assert "are of another model than the config's" in capsys.readouterr().err


def test_a_config_that_is_not_there_is_no_traceback(place):
    command = [sys.executable, "-m", "sampling_free.commands.predict", str(place / "more"), "--config-file", "none.py"]
    done = subprocess.run([*command, "--weights", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Config file none.py does not exist") and done.stderr.count("\n") == 1
