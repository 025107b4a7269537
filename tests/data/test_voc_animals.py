"""The script that selects VOC's animals, run on a small folder of VOC's layout."""

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

from sampling_free.data import check_annotations
from sampling_free.torchvision.train.datasets import CocoDetection
from tests.data.test_voc import item, write

ROOT = Path(__file__).parents[2]
IMAGES = {
    "animals": [item("cat", (1, 1, 20, 16)), item("person"), item("chair"), item("dog", difficult=1)],
    "difficult": [item("sheep", difficult=1)],
    "person": [item("person")],
    "chair": [item("chair")],
    "nothing": [],
}


def selected(voc, output, *options):
    script = ROOT / "projects" / "photographs" / "voc_animals.py"
    command = [sys.executable, str(script), str(voc), "--output", str(output), *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_images_with_animals_and_images_without_the_classes_are_selected_and_reduced(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / "VOC2012", split, {f"{split}-{stem}": objects for stem, objects in IMAGES.items()})
    done = selected(tmp_path / "VOC2012", tmp_path / "new", "--size", "20")
    assert done.returncode == 0, done.stderr
    for split in ("train", "val"):
        file = tmp_path / "new" / "annotations" / f"instances_{split}.json"
        coco = check_annotations(file, tmp_path / "new" / "images", strict=True).coco
        assert [image["file_name"] for image in coco["images"]] == [f"{split}-animals.jpg"]
        names = {category["id"]: category["name"] for category in coco["categories"]}
        found = [(names[box["category_id"]], box["iscrowd"], box["bbox"]) for box in coco["annotations"]]
        assert found == [("cat", 0, [0, 0, 10, 8]), ("person", 0, [0, 0, 20, 16]), ("dog", 1, [0, 0, 20, 16])]
        background = json.loads((tmp_path / "new" / "annotations" / f"background_{split}.json").read_text())
        assert {image["file_name"] for image in background["images"]} == {f"{split}-chair.jpg", f"{split}-nothing.jpg"}
        with Image.open(tmp_path / "new" / "images" / f"{split}-chair.jpg") as image:
            assert image.size == (20, 16)
    joined = CocoDetection(
        tmp_path / "new", "images", "annotations/instances_val.json", background="annotations/background_val.json"
    )
    assert len(joined) == 3 and len(joined.background) == 2


def test_a_folder_that_is_not_voc_s_is_named(tmp_path):
    done = selected(tmp_path, tmp_path / "new")
    assert done.returncode != 0 and f"there is no image list {tmp_path}" in done.stderr
    assert done.stderr.count("\n") == 1, "one sentence"


def test_small_images_are_not_enlarged(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / "VOC2012", split, {split: [item("cow", (3, 1, 40, 32))]})
    assert selected(tmp_path / "VOC2012", tmp_path / "new", "--size", "100").returncode == 0
    coco = json.loads((tmp_path / "new" / "annotations" / "instances_val.json").read_text())
    assert coco["images"][0]["width"] == 40 and coco["annotations"][0]["bbox"] == [2, 0, 38, 32]
