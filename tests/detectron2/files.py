"""Data sets in files for the tests of this host's data: the shapes, a folder in VOC's layout."""

import json

import cv2
import numpy as np
import pytest
from detectron2.config import LazyCall as L
from detectron2.data import DatasetCatalog, DatasetMapper, MetadataCatalog

from sampling_free.data import generate_shapes
from sampling_free.data.shapes import ShapesSettings

SETTINGS = {"num_train": 12, "num_val": 5, "size": 64}
CLASSES = ["circle", "square", "triangle", "star", "cross"]


@pytest.fixture
def shapes(tmp_path):
    """A folder with the shapes."""
    return generate_shapes(tmp_path / "shapes", ShapesSettings(**SETTINGS))


@pytest.fixture(autouse=True)
def clean_catalog():
    before = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - before:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def changed(shapes, change, split="train"):
    """Change the annotation file of a split."""
    file = shapes / "annotations" / f"instances_{split}.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return file


def voc_folder(root):
    """Two images in VOC's layout, of 60 x 40 px, with a difficult object among three."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    objects = {"a1": [("cat", 1, 1, 20, 30, 0), ("dog", 30, 5, 60, 40, 0)], "b2": [("cat", 11, 6, 40, 33, 1)]}
    for stem, boxes in objects.items():
        cv2.imwrite(str(root / "JPEGImages" / f"{stem}.jpg"), np.zeros((40, 60, 3), np.uint8))
        items = "".join(
            f"<object><name>{name}</name><pose>Left</pose><truncated>0</truncated><difficult>{difficult}</difficult>"
            f"<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
            for name, x1, y1, x2, y2, difficult in boxes
        )
        size = "<size><width>60</width><height>40</height><depth>3</depth></size>"
        xml = f"<annotation><filename>{stem}.jpg</filename>{size}{items}</annotation>"
        (root / "Annotations" / f"{stem}.xml").write_text(xml)
    (root / "ImageSets" / "Main" / "test.txt").write_text("\n".join(objects))
    return root


def mapper(*, is_train):
    return L(DatasetMapper)(is_train=is_train, augmentations=[], image_format="BGR")
