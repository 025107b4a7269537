"""COCO AP against pycocotools called by hand, and what it writes."""

import json

import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sampling_free.errors import UserError
from sampling_free.torchvision.datasets import Shapes
from sampling_free.torchvision.evaluation import CocoEvaluator


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
        masks = torch.cat([target["masks"][keep].float(), torch.zeros(3, 64, 64)])[:, None]
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
    first = json.loads((tmp_path / "coco_results_bbox.json").read_text())[0]
    assert set(first) == {"image_id", "category_id", "bbox", "score"}
    per_class = [metrics[f"bbox/AP-{name}"] for name in dataset.categories]
    assert sum(per_class) / 5 == pytest.approx(metrics["bbox/AP"])
    curves = json.loads((tmp_path / "precision_recall.json").read_text())
    assert sum(curves["mean over IoU"]) / 101 == pytest.approx(metrics["bbox/AP"] / 100)


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
