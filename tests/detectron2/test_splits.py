"""Data sets of detectron2 from files: the records, what is dropped and said, the stream, the figures of evaluators."""

import itertools
import json

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
    build_detection_test_loader,
    build_detection_train_loader,
    get_detection_dataset_dicts,
)
from detectron2.data.common import AspectRatioGroupedDataset
from detectron2.data.datasets import load_coco_json, load_voc_instances, register_coco_instances
from detectron2.evaluation import COCOEvaluator, PascalVOCDetectionEvaluator
from detectron2.structures import Boxes, BoxMode, Instances
from omegaconf import DictConfig

from sampling_free.data import generate_shapes
from sampling_free.data.shapes import ShapesSettings
from sampling_free.detectron2.train import loading
from sampling_free.detectron2.train.evaluation import evaluate, evaluator_of, matched_by_name
from sampling_free.detectron2.train.loading import TrainingData, open_data, refuse_shared_names
from sampling_free.detectron2.train.splits import coco_split, shapes_split, voc_split
from sampling_free.errors import UserError

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


def opened(shapes, **options):
    return coco_split("mine", shapes, "train", "annotations/instances_train.json", **options)


def test_records_are_detectron2_s_own(shapes):
    ours = shapes_split("mine", shapes, "train", settings=SETTINGS)
    file = shapes / "annotations" / "instances_train.json"
    theirs = load_coco_json(str(file), str(shapes / "train"), "theirs")
    MetadataCatalog.remove("theirs")
    assert [sorted(record.items(), key=str) for record in ours] == [sorted(r.items(), key=str) for r in theirs]
    assert DatasetCatalog.get("mine") == ours and MetadataCatalog.get("mine").thing_classes == CLASSES


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


def mapper(*, is_train):
    return L(DatasetMapper)(is_train=is_train, augmentations=[], image_format="BGR")


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


class Oracle(torch.nn.Module):
    """Finds what is annotated, in part."""

    def __init__(self, name, share=1.0):
        super().__init__()
        self.truth = {record["image_id"]: record["annotations"] for record in DatasetCatalog.get(name)}
        self.share = share

    def forward(self, batch):
        return [{"instances": self._found(item)} for item in batch]

    def _found(self, item):
        objects = [a for a in self.truth[item["image_id"]] if not a["iscrowd"]]
        objects = objects[: round(self.share * len(objects))]
        boxes = [BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS) for a in objects]
        found = Instances((item["height"], item["width"]))
        found.pred_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
        found.scores = torch.linspace(1, 0.5, len(objects))
        found.pred_classes = torch.tensor([a["category_id"] for a in objects], dtype=torch.int64)
        return found


def figures(dataset, evaluator, folder, share=1.0):
    node = L(build_detection_test_loader)(dataset=dataset, mapper=mapper(is_train=False), num_workers=0)
    batches, _ = loading.test_loader(DictConfig({"test": node}, flags={"allow_objects": True}).test)
    name = dataset.get("name") or dataset.names
    return evaluate(Oracle(name, share), batches, evaluator_of(L(evaluator)(dataset_name=name), folder, name))


def test_coco_figures_of_one_who_finds_all_half_or_nothing(shapes, tmp_path, caplog):
    node = L(shapes_split)(name="mine", root=str(shapes), split="val", settings=SETTINGS)
    whole = figures(node, COCOEvaluator, tmp_path)
    assert whole["bbox/AP"] == pytest.approx(100) and whole["bbox/AP-star"] == pytest.approx(100)
    assert "bbox/APl" not in whole  # no large object: no figure, not NaN
    results = json.loads((tmp_path / "coco_results_bbox.json").read_text())
    annotations = json.loads((shapes / "annotations" / "instances_val.json").read_text())["annotations"]
    assert sorted((r["image_id"], r["category_id"]) for r in results) == sorted(
        (a["image_id"], a["category_id"]) for a in annotations
    )
    assert not (tmp_path / "coco_results_segm.json").exists()
    curves = json.loads((tmp_path / "precision_recall.json").read_text())
    assert np.mean(curves["mean over IoU"]) == pytest.approx(1) and set(curves["classes at IoU 0.5"]) == set(CLASSES)
    assert 0 < figures(node, COCOEvaluator, tmp_path, share=0.5)["bbox/AP"] < 100
    nothing = figures(node, COCOEvaluator, tmp_path, share=0)
    assert set(nothing.values()) == {0.0} and {"bbox/AP", "bbox/AP-cross"} <= set(nothing)
    assert "No detections: bbox AP is 0" in caplog.text


@pytest.mark.parametrize("evaluator", [PascalVOCDetectionEvaluator, COCOEvaluator])
def test_voc_figures_do_not_count_the_difficult(tmp_path, evaluator, caplog):
    root = voc_folder(tmp_path / "voc")
    node = L(voc_split)(name="mine", root=str(root), splits=[[".", "test"]], classes=["cat", "dog"])
    assert figures(node, evaluator, tmp_path)["bbox/AP"] == pytest.approx(100)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert figures(node, evaluator, tmp_path, share=0)["bbox/AP"] == 0
    assert "no detections" in caplog.text.lower()


def test_an_evaluator_that_the_data_are_not_made_for_is_told(shapes, tmp_path):
    node = L(shapes_split)(name="mine", root=str(shapes), split="val", settings=SETTINGS)
    with pytest.raises(UserError, match="'mine' cannot be evaluated by PascalVOCDetectionEvaluator"):
        figures(node, PascalVOCDetectionEvaluator, tmp_path)


def test_data_without_annotations_give_a_result_file_and_no_figures(shapes, tmp_path):
    file = changed(shapes, lambda content: content.pop("annotations"), split="val")
    register_coco_instances("test-dev", {}, str(file), str(shapes / "val"))
    node = L(get_detection_dataset_dicts)(names="test-dev", filter_empty=False)
    records = {record["image_id"]: record for record in DatasetCatalog.get("test-dev")}
    box = {"bbox": [1.0, 2.0, 3.0, 4.0], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 2, "iscrowd": 0}
    first = next(iter(records))
    loader, _ = loading.test_loader(
        DictConfig(
            {"test": L(build_detection_test_loader)(dataset=node, mapper=mapper(is_train=False))},
            flags={"allow_objects": True},
        ).test
    )
    oracle = Oracle("test-dev")
    oracle.truth[first] = [box]
    evaluator = evaluator_of(L(COCOEvaluator)(dataset_name="test-dev"), tmp_path, "test-dev")
    assert evaluate(oracle, loader, evaluator) == {}
    (result,) = json.loads((tmp_path / "coco_results_bbox.json").read_text())
    assert result == {"image_id": first, "category_id": 3, "score": 1.0, "bbox": [1.0, 2.0, 3.0, 4.0]}


def test_an_evaluator_of_other_numbers_counts_classes_by_name(shapes, tmp_path):
    """A model that was trained on the classes in another order, and on one more."""
    node = L(shapes_split)(name="mine", root=str(shapes), split="val", settings=SETTINGS)
    loader = L(build_detection_test_loader)(dataset=node, mapper=mapper(is_train=False), num_workers=0)
    batches, records = loading.test_loader(DictConfig({"test": loader}, flags={"allow_objects": True}).test)
    labels = dict(enumerate(["extra", *reversed(CLASSES)]))
    oracle = Oracle("mine")
    for boxes in oracle.truth.values():
        boxes[:] = [box | {"category_id": 5 - box["category_id"]} for box in boxes]
    plain = evaluator_of(L(COCOEvaluator)(dataset_name="mine"), tmp_path, "mine")
    found = evaluate(oracle, batches, matched_by_name(plain, records, CLASSES, labels, "mine"))
    assert found["bbox/AP"] == pytest.approx(100)
    results = json.loads((tmp_path / "coco_results_bbox.json").read_text())
    annotations = json.loads((shapes / "annotations" / "instances_val.json").read_text())["annotations"]
    assert sorted(r["category_id"] for r in results) == sorted(a["category_id"] for a in annotations)
    assert matched_by_name(plain, records, CLASSES, dict(enumerate(CLASSES)), "mine") is plain
    with pytest.raises(UserError, match="mine has boxes of .*, which is no class that the model was trained on"):
        matched_by_name(plain, records, CLASSES, {0: "circle"}, "mine")


def test_an_id_of_zero_costs_no_box_in_a_data_set_of_detectron2_s_own(shapes, tmp_path):
    file = changed(shapes, lambda content: [a.update(id=i) for i, a in enumerate(content["annotations"])], split="val")
    register_coco_instances("theirs", {}, str(file), str(shapes / "val"))
    node = L(get_detection_dataset_dicts)(names="theirs", filter_empty=False)
    assert figures(node, COCOEvaluator, tmp_path)["bbox/AP"] == pytest.approx(100)


def test_data_of_crowds_alone_have_no_figure(shapes, tmp_path, caplog):
    changed(shapes, lambda content: [a.update(iscrowd=1) for a in content["annotations"]], split="val")
    node = L(coco_split)(name="mine", root=str(shapes), images="val", annotations="annotations/instances_val.json")
    assert figures(node, COCOEvaluator, tmp_path, share=0) == {}
    assert "no box at all but of crowds: there is no bbox AP" in caplog.text


@pytest.mark.parametrize(
    ("before", "after"), [("<pose>Left</pose>", ""), ("<xmax>20<", "<xmax>20.5<")], ids=["pose", "float"]
)
def test_what_the_evaluator_of_voc_cannot_read_is_found_before(before, after, tmp_path):
    root = voc_folder(tmp_path / "voc")
    file = root / "Annotations" / "a1.xml"
    file.write_text(file.read_text().replace(before, after))
    voc_split("mine", root, [[".", "test"]], ["cat", "dog"])
    with pytest.raises(UserError, match="VOC evaluator cannot read .*a1.xml .*COCOEvaluator"):
        evaluator_of(L(PascalVOCDetectionEvaluator)(dataset_name="mine"), tmp_path, "mine")
    evaluator_of(L(COCOEvaluator)(dataset_name="mine"), tmp_path, "mine")


def test_a_list_of_a_class_is_refused_for_the_evaluator_of_voc(tmp_path):
    root = voc_folder(tmp_path / "voc")
    (root / "ImageSets" / "Main" / "test.txt").write_text("a1 -1\nb2  1\n")
    assert len(voc_split("mine", root, [[".", "test"]], ["cat", "dog"])) == 2
    with pytest.raises(UserError, match="line 'a1 -1' of .*test.txt is no name of an evaluated image"):
        evaluator_of(L(PascalVOCDetectionEvaluator)(dataset_name="mine"), tmp_path, "mine")


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
