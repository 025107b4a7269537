"""Data sets of detectron2 from files: the records, what is dropped and said, the stream."""

import itertools

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import cv2
import detectron2.data.transforms as T
import numpy as np
import torch
from detectron2.config import LazyCall as L
from detectron2.data import (
    DatasetCatalog,
    DatasetMapper,
    MetadataCatalog,
    build_detection_train_loader,
    get_detection_dataset_dicts,
)
from detectron2.data.common import AspectRatioGroupedDataset
from detectron2.data.datasets import load_coco_json, load_voc_instances, register_coco_instances
from detectron2.structures import BoxMode

from sampling_free.data import generate_shapes
from sampling_free.data.shapes import ShapesSettings
from sampling_free.detectron2.train import loading
from sampling_free.detectron2.train.loading import TrainingData, open_data, refuse_shared_names
from sampling_free.detectron2.train.splits import coco_split, shapes_split, voc_split
from sampling_free.errors import UserError
from tests.detectron2.files import CLASSES, SETTINGS, changed, clean_catalog, mapper, shapes, voc_folder

__all__ = ["clean_catalog", "shapes"]  # fixtures


def opened(shapes, **options):
    return coco_split("mine", shapes, "train", "annotations/instances_train.json", **options)


def test_records_are_detectron2_s_own(shapes):
    ours = shapes_split("mine", shapes, "train", settings=SETTINGS)
    file = shapes / "annotations" / "instances_train.json"
    theirs = load_coco_json(str(file), str(shapes / "train"), "theirs")
    MetadataCatalog.remove("theirs")
    assert [sorted(record.items(), key=str) for record in ours] == [sorted(r.items(), key=str) for r in theirs]
    assert DatasetCatalog.get("mine") == ours and MetadataCatalog.get("mine").thing_classes == CLASSES


def test_voc_records_are_detectron2_s_own_but_for_the_difficult(tmp_path):
    root = voc_folder(tmp_path / "voc")
    ours = voc_split("mine", root, [[".", "test"]], ["cat", "dog"])
    theirs = load_voc_instances(str(root), "test", ["cat", "dog"])
    for our, their in zip(ours, theirs, strict=True):
        assert {k: our[k] for k in ("image_id", "height", "width")} == {
            k: their[k] for k in ("image_id", "height", "width")
        }
        boxes = [BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS) for a in our["annotations"]]
        assert boxes == [a["bbox"] for a in their["annotations"]]
        assert [a["category_id"] for a in our["annotations"]] == [a["category_id"] for a in their["annotations"]]
    assert [[a["iscrowd"] for a in record["annotations"]] for record in ours] == [[0, 0], [1]]


def bad_boxes(content):
    for annotation, box in zip(content["annotations"], ([5, 5, 0, 10], [5, 5, -3, 10], [60, 60, 90, 10]), strict=False):
        annotation["bbox"] = box


def test_degenerate_boxes_are_counted_and_said_and_strict_stops(shapes, caplog):
    before = sum(len(record["annotations"]) for record in opened(shapes))
    file = changed(shapes, bad_boxes)
    caplog.set_level("INFO")
    assert sum(len(record["annotations"]) for record in opened(shapes)) == before - 3
    assert f"{file}: 3 bad annotations dropped" in caplog.text and "bbox without area" in caplog.text
    with pytest.raises(UserError, match="strict is set"):
        opened(shapes, strict=True)


def test_degenerate_boxes_of_detectron2_s_own_data_sets_are_counted_and_said(shapes, caplog):
    file = changed(shapes, bad_boxes)
    register_coco_instances("theirs", {}, str(file), str(shapes / "train"))
    node = L(get_detection_dataset_dicts)(names="theirs", filter_empty=False)
    caplog.set_level("INFO")
    records = open_data(node, "dataloader.train.dataset")
    assert "theirs: 3 bad annotations dropped" in caplog.text
    assert "of image" in caplog.text and str(shapes / "train") in caplog.text
    good = {record["file_name"]: record["annotations"] for record in opened(shapes)}
    assert {r["file_name"]: r["annotations"] for r in records} == good


def test_an_image_of_another_size_than_detectron2_s_own_data_set_says_is_told(shapes):
    file = shapes / "annotations" / "instances_train.json"
    register_coco_instances("theirs", {}, str(file), str(shapes / "train"))
    record = DatasetCatalog.get("theirs")[2]
    cv2.imwrite(record["file_name"], np.zeros((32, 64, 3), np.uint8))
    reading = loading.Reading(DatasetMapper(is_train=True, augmentations=[], image_format="BGR"))
    with pytest.raises(UserError, match=f"image {record['file_name']}: .*; mend the annotation file"):
        reading(record)


def test_images_without_objects_stay_unless_they_shall_not(shapes, caplog):
    caplog.set_level("INFO")
    first = opened(shapes)[0]["image_id"]
    changed(shapes, lambda c: c.update(annotations=[a for a in c["annotations"] if a["image_id"] != first]))
    whole = opened(shapes)
    empty = sum(not record["annotations"] for record in whole)
    assert len(whole) == SETTINGS["num_train"] and empty > 0
    assert f"{len(whole)} images ({empty} without boxes)" in caplog.text
    filtered = opened(shapes, filter_empty=True)
    assert len(filtered) == len(whole) - empty and "those without are left out" in caplog.text
    changed(shapes, lambda c: c.update(annotations=[]))
    with pytest.raises(UserError, match="has no image with boxes"):
        opened(shapes, filter_empty=True)


def test_a_name_is_opened_again_with_other_data(shapes, tmp_path):
    opened(shapes)
    other = generate_shapes(tmp_path / "other", ShapesSettings(num_train=3, num_val=2, size=64, num_classes=2))
    records = opened(other)
    assert DatasetCatalog.get("mine") == records and len(records) == 3
    assert MetadataCatalog.get("mine").thing_classes == CLASSES[:2]


def test_a_data_set_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="there is no data set at .*nowhere"):
        opened(tmp_path / "nowhere")


def test_batches_are_those_that_detectron2_groups_and_any_start_finds_them(shapes):
    opened(shapes)
    for number, record in enumerate(DatasetCatalog.get("mine")):
        record["width"] += number % 3 == 0  # wide, for grouping
    node = L(build_detection_train_loader)(
        dataset=L(get_detection_dataset_dicts)(names="mine", filter_empty=False),
        mapper=mapper(is_train=True),
        total_batch_size=4,
        num_workers=0,
    )
    data = TrainingData(node, seed=3)
    data.items = _Numbers(data.records)
    grouped = [[item["image_id"] for item in batch] for batch in itertools.islice(data.batches(), 12)]
    data.node["aspect_ratio_grouping"] = False
    plain = [[item["image_id"] for item in batch] for batch in itertools.islice(data.batches(), 30)]
    records = {record["image_id"]: record for record in data.records}
    theirs = AspectRatioGroupedDataset((records[i] for i in itertools.chain(*plain)), 4)
    assert grouped == [[item["image_id"] for item in batch] for batch in itertools.islice(theirs, 12)]
    assert len({tuple(sorted(batch)) for batch in plain}) > 6
    data.node["aspect_ratio_grouping"] = True
    later = [[item["image_id"] for item in batch] for batch in itertools.islice(data.batches(5), 7)]
    assert later == grouped[5:]


class _Numbers(torch.utils.data.Dataset):
    """Records as they are, without their images."""

    def __init__(self, records):
        self.records = records

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        return self.records[index]


def test_masks_train_are_mended_or_dropped_as_the_mapper_wants_them(shapes, caplog):
    def damage(content):
        boxes = [box for box in content["annotations"] if box["image_id"] == content["annotations"][0]["image_id"]]
        content["annotations"] = boxes[:1]
        content["annotations"] += [boxes[0] | {"id": 90 + i, "segmentation": mask} for i, mask in enumerate((None, []))]
        runs = {"size": [64, 64], "counts": [100, 500, 3496]}
        content["annotations"].append(boxes[0] | {"id": 99, "segmentation": runs})

    changed(shapes, damage)
    split = dict(name="mine", root=str(shapes), images="train", annotations="annotations/instances_train.json")
    drawing = L(DatasetMapper)(is_train=True, augmentations=[], image_format="BGR", use_instance_mask=True)
    node = L(build_detection_train_loader)(dataset=L(coco_split)(**split), mapper=drawing, total_batch_size=1)
    data = TrainingData(node, seed=0)
    assert "2 bad annotations dropped" in caplog.text
    found = next(item["instances"] for item in data.items if len(item["instances"]))
    assert len(found) == 2 and int(found.gt_masks.tensor[1].sum()) == 500


def test_two_data_sets_under_one_name_are_refused(shapes):
    train, test = ({"name": "a", "annotations": file} for file in ("1.json", "2.json"))
    with pytest.raises(UserError, match="are both called 'a', and are not the same data: give each its own name"):
        refuse_shared_names({"train": {"dataset": train}, "test": {"dataset": test}})
    refuse_shared_names({"train": {"dataset": train}, "test": {"dataset": dict(train)}})
    register_coco_instances("mine", {}, "none.json", "nowhere")
    with pytest.raises(UserError, match="detectron2 has a data set 'mine' already, which is another"):
        opened(shapes)


def test_a_picture_of_16_bits_trains_as_it_looks(tmp_path):
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    node = dict(_target_=DatasetMapper, is_train=True, augmentations=[], image_format="BGR")
    record = {"file_name": str(tmp_path / "a.png"), "height": 64, "width": 64, "annotations": []}
    image = loading.Reading.of(node, "mapper")(record)["image"]
    np.testing.assert_allclose(image[0], values / 257, atol=1)


def test_a_picture_that_is_scaled_to_nothing_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / "strip.png"), np.zeros((4, 3000, 3), np.uint8))
    shorter = T.ResizeShortestEdge(short_edge_length=64, max_size=128)
    node = dict(_target_=DatasetMapper, is_train=True, augmentations=[shorter], image_format="BGR")
    record = {"file_name": str(tmp_path / "strip.png"), "height": 4, "width": 3000, "annotations": []}
    with pytest.raises(UserError, match="strip.png of 3000 x 4 pixels is scaled to nothing"):
        loading.Reading.of(node, "mapper")(record)
