"""What the evaluators of detectron2 say of detections, from files and from registered data sets."""

import json

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import numpy as np
import torch
from detectron2.config import LazyCall as L
from detectron2.data import DatasetCatalog, build_detection_test_loader, get_detection_dataset_dicts
from detectron2.data.datasets import register_coco_instances
from detectron2.evaluation import COCOEvaluator, PascalVOCDetectionEvaluator
from detectron2.structures import Boxes, BoxMode, Instances
from omegaconf import DictConfig

from sampling_free.detectron2.train import loading
from sampling_free.detectron2.train.evaluation import evaluate, evaluator_of, matched_by_name
from sampling_free.detectron2.train.splits import coco_split, shapes_split, voc_split
from sampling_free.errors import UserError
from tests.detectron2.files import CLASSES, SETTINGS, changed, clean_catalog, mapper, shapes, voc_folder

__all__ = ["clean_catalog", "shapes"]  # fixtures


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
