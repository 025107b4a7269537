"""COCO AP against pycocotools called by hand, and what it writes."""

import json

import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sampling_free.errors import UserError
from sampling_free.torchvision.train.datasets import Shapes
from sampling_free.torchvision.train.evaluation import CocoEvaluator


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("shapes") / "data"
    settings = {"num_train": 2, "num_val": 24, "size": 64}
    return Shapes(root, "val", settings=settings, masks=True)


def noisy_detections(dataset, seed=0):
    """Ground truth moved about, some of it missing, some detections of nothing."""
    generator = torch.Generator().manual_seed(seed)
    for index in range(len(dataset)):
        _, target = dataset[index]
        keep = torch.rand(len(target["boxes"]), generator=generator) > 0.2
        boxes = target["boxes"][keep] + torch.randn(int(keep.sum()), 4, generator=generator) * 2
        extra = torch.rand(3, 4, generator=generator).sort(dim=1).values * 60
        labels = torch.cat([target["labels"][keep], torch.randint(1, 6, (3,), generator=generator)])
        masks = torch.cat([target["masks"][keep] * 0.5 + 0.3, torch.zeros(3, 64, 64)])[:, None]  # probabilities
        scores = torch.rand(len(labels), generator=generator)
        prediction = {"boxes": torch.cat([boxes, extra]), "labels": labels, "scores": scores, "masks": masks}
        yield target["image_id"], prediction


def evaluated(dataset, backend, output=None):
    evaluator = CocoEvaluator(dataset, masks=True, backend=backend)
    for image_id, prediction in noisy_detections(dataset):
        evaluator.update([image_id], [prediction])
    return evaluator.compute(output)


def test_both_backends_agree(dataset):
    assert evaluated(dataset, "pycocotools") == pytest.approx(evaluated(dataset, "faster_coco_eval"), abs=1e-9)


def test_written_results_are_coco_s_and_score_the_same(dataset, tmp_path):
    metrics = evaluated(dataset, "auto", tmp_path)
    truth = COCO(str(dataset.image_folder.parent / "annotations" / "instances_val.json"))
    for kind in ("bbox", "segm"):
        evaluation = COCOeval(truth, truth.loadRes(str(tmp_path / f"coco_results_{kind}.json")), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        for name, value in zip(("AP", "AP50", "AP75", "APs", "APm"), evaluation.stats, strict=False):
            if value > -1:
                assert metrics[f"{kind}/{name}"] == pytest.approx(100 * value)
            else:  # no ground truth of that size
                assert f"{kind}/{name}" not in metrics
        assert 5 < metrics[f"{kind}/AP"] < 95
        records = json.loads((tmp_path / f"coco_results_{kind}.json").read_text())
        assert isinstance(records, list) and {type(record["score"]) for record in records} == {float}
        # test-dev's server takes these keys, boxes as XYWH and masks as compressed run lengths
        wanted = {"bbox": "bbox", "segm": "segmentation"}[kind]
        assert {frozenset(record) for record in records} == {frozenset({"image_id", "category_id", "score", wanted})}
        if kind == "segm":
            assert all(set(r["segmentation"]) == {"size", "counts"} for r in records)
            assert all(isinstance(r["segmentation"]["counts"], str) for r in records)
    per_class = [metrics[f"bbox/AP-{name}"] for name in dataset.categories]
    assert sum(per_class) / 5 == pytest.approx(metrics["bbox/AP"])
    curves = json.loads((tmp_path / "precision_recall.json").read_text())
    assert sum(curves["mean over IoU"]) / 101 == pytest.approx(metrics["bbox/AP"] / 100)


def test_per_class_figures_are_pycocotools_of_that_class_alone(dataset, tmp_path):
    metrics = evaluated(dataset, "auto", tmp_path)
    truth = COCO(str(dataset.image_folder.parent / "annotations" / "instances_val.json"))
    found = truth.loadRes(str(tmp_path / "coco_results_segm.json"))
    for category, name in zip(sorted(truth.cats), dataset.categories, strict=True):
        evaluation = COCOeval(truth, found, "segm")
        evaluation.params.catIds = [category]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert metrics[f"segm/AP-{name}"] == pytest.approx(100 * evaluation.stats[0], abs=1e-9)


class Labelled:
    """Ground truth of any kind, without images: what an evaluator asks of a data set."""

    def __init__(self, annotations, images):
        images = [{"id": i, "file_name": "", "height": 400, "width": 400} for i in images]
        names = [{"id": 2, "name": "a"}, {"id": 70, "name": "b"}, {"id": 71, "name": "never"}]
        self.coco = COCO()
        self.coco.dataset = {"images": images, "annotations": annotations, "categories": names}
        self.coco.createIndex()
        self.image_ids = sorted(self.coco.imgs)
        self.categories = ["a", "b", "never"]
        self.category_of_label = {1: 2, 2: 70, 3: 71}
        self.background = frozenset()


@pytest.mark.parametrize("seed", range(3))
def test_both_backends_agree_on_crowds_sizes_and_crowded_images(seed):
    """Boxes of every size, crowds, more detections than count, images without either, equal scores."""
    generator = torch.Generator().manual_seed(seed)

    def boxes(count):
        corners = torch.rand(count, 2, generator=generator) * 200
        return torch.cat([corners, corners + 2 + 190 * torch.rand(count, 2, generator=generator) ** 3], 1)

    annotations, predictions = [], []
    for image in range(1, 9):
        truth = boxes(0 if image == 3 else 12)
        for left, top, right, bottom in truth.tolist():
            box = [left, top, right - left, bottom - top]
            category, crowd = [2, 70][len(annotations) % 2], int(len(annotations) % 7 == 0)
            common = {"id": len(annotations) + 1, "image_id": image, "category_id": category, "iscrowd": crowd}
            annotations.append(common | {"bbox": box, "area": box[2] * box[3]})
        found = torch.cat([truth + torch.randn(truth.shape, generator=generator) * 3, boxes(0 if image == 5 else 130)])
        found[:, 2:] = found[:, 2:].maximum(found[:, :2] + 1)
        scores = (torch.rand(len(found), generator=generator) * 20).round() / 20
        labels = torch.randint(1, 4, (len(found),), generator=generator)
        predictions.append({"boxes": found, "scores": scores, "labels": labels})
    metrics = []
    for backend in ("pycocotools", "faster_coco_eval"):
        evaluator = CocoEvaluator(Labelled(annotations, range(1, 9)), backend=backend)
        evaluator.update(range(1, 9), predictions)
        metrics.append(evaluator.compute())
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-9) and metrics[0]["bbox/AP"] > 0
    assert set(metrics[0]) >= {"bbox/APs", "bbox/APm", "bbox/APl", "bbox/AP-a"} and "bbox/AP-never" not in metrics[0]


def test_images_without_ground_truth_give_results_and_no_figure(tmp_path, caplog):
    """As COCO's test-dev: only its server knows the boxes."""
    evaluator = CocoEvaluator(Labelled([], [5]))
    box = {"boxes": torch.tensor([[1.0, 2, 11, 7]]), "scores": torch.tensor([0.5]), "labels": torch.tensor([2])}
    evaluator.update([5], [box])
    assert evaluator.compute(tmp_path) == {}
    assert "there is no bbox AP to compute" in caplog.text
    (record,) = json.loads((tmp_path / "coco_results_bbox.json").read_text())
    assert record == {"image_id": 5, "category_id": 70, "bbox": [1, 2, 10, 5], "score": 0.5}


def test_perfect_detections(dataset):
    evaluator = CocoEvaluator(dataset)
    for index in range(len(dataset)):
        _, target = dataset[index]
        evaluator.update(
            [target["image_id"]],
            [target | {"scores": torch.ones(len(target["boxes"]))} | {"image_id": torch.tensor(0)}],
        )
    assert evaluator.compute()["bbox/AP"] == pytest.approx(100)


def test_no_detection_is_zero_and_said(dataset, caplog):
    metrics = CocoEvaluator(dataset).compute()
    assert metrics["bbox/AP"] == metrics["bbox/AP-star"] == 0
    assert "No detections: bbox AP is 0" in caplog.text


def test_labels_without_category_do_not_count(dataset):
    evaluator = CocoEvaluator(dataset)
    prediction = {"boxes": torch.zeros(2, 4), "labels": torch.tensor([0, 9]), "scores": torch.ones(2)}
    evaluator.update([1], [prediction])
    assert evaluator.results == []


def test_unknown_backend_is_refused(dataset):
    with pytest.raises(UserError, match="evaluation backend must be"):
        CocoEvaluator(dataset, backend="fast")
