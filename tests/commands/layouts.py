"""One tiny data set of generated shapes in COCO's, VOC's and YOLO's layout."""

import json
import shutil
from pathlib import Path

from sampling_free.data.shapes import ShapesSettings, generate_shapes

TRAIN, VAL, SIZE = 12, 4, 64


def coco(folder: Path) -> Path:
    generate_shapes(folder, ShapesSettings(num_train=TRAIN, num_val=VAL, size=SIZE))
    file = folder / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    empty = content["images"][0]["id"]
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] != empty]
    file.write_text(json.dumps(content))
    return folder


def contents(root: Path):
    for split in ("train", "val"):
        yield split, json.loads((root / "annotations" / f"instances_{split}.json").read_text())


def voc(root: Path, folder: Path) -> Path:
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for split, content in contents(root):
        names = {category["id"]: category["name"] for category in content["categories"]}
        stems = [f"{split}_{Path(image['file_name']).stem}" for image in content["images"]]
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(stems))
        for image, stem in zip(content["images"], stems, strict=True):
            shutil.copy(root / split / image["file_name"], folder / "JPEGImages" / f"{stem}.jpg")
            objects = ""
            for record in (r for r in content["annotations"] if r["image_id"] == image["id"]):
                x, y, w, h = record["bbox"]
                corners = f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
                objects += f"<object><name>{names[record['category_id']]}</name><bndbox>{corners}</bndbox></object>"
            size = f"<size><width>{image['width']}</width><height>{image['height']}</height></size>"
            (folder / "Annotations" / f"{stem}.xml").write_text(f"<annotation>{size}{objects}</annotation>")
    return folder


def yolo(root: Path, folder: Path) -> Path:
    for split, content in contents(root):
        for name in ("images", "labels"):
            (folder / name / split).mkdir(parents=True)
        numbers = {category["id"]: number for number, category in enumerate(content["categories"])}
        for image in content["images"]:
            shutil.copy(root / split / image["file_name"], folder / "images" / split)
            lines = []
            for record in (r for r in content["annotations"] if r["image_id"] == image["id"]):
                x, y, w, h = record["bbox"]
                middle = f"{(x + w / 2) / SIZE:.6f} {(y + h / 2) / SIZE:.6f} {w / SIZE:.6f} {h / SIZE:.6f}"
                lines.append(f"{numbers[record['category_id']]} {middle}")
            if lines:  # an image without objects has no file
                (folder / "labels" / split / f"{Path(image['file_name']).stem}.txt").write_text("\n".join(lines))
        names = [category["name"] for category in content["categories"]]
    (folder / "data.yaml").write_text(json.dumps({"train": "images/train", "val": "images/val", "names": names}))
    return folder
