"""Images without objects: how they join a data set, and false alarms on them beside a count by loops."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

from sampling_free.errors import UserError
from sampling_free.torchvision.train.datasets import CocoDetection
from sampling_free.torchvision.train.evaluation import CocoEvaluator
from sampling_free.torchvision.train.false_alarms import false_alarms

NUM_OBJECT, NUM_BACKGROUND = 5, 4


def by_loops(truth, detections, background, recall, iou):
    """Try every score as threshold, the highest first, and match anew what it leaves."""
    wanted = [box for box in truth["annotations"] if not box["iscrowd"]]
    for threshold in sorted({hit["score"] for hit in detections}, reverse=True):
        kept = sorted((hit for hit in detections if hit["score"] >= threshold), key=lambda hit: -hit["score"])
        free, found = list(wanted), 0
        for hit in kept:
            same = [b for b in free if (b["image_id"], b["category_id"]) == (hit["image_id"], hit["category_id"])]
            overlaps = [overlap(hit["bbox"], box["bbox"]) for box in same]
            if overlaps and max(overlaps) >= iou:
                free.remove(same[int(np.argmax(overlaps))])
                found += 1
        if found >= recall * len(wanted):
            return sum(hit["image_id"] in background for hit in kept) / len(background)
    return None


def overlap(one, other):
    corners = [torch.tensor([[x, y, x + w, y + h]]) for x, y, w, h in (one, other)]
    return box_iou(*corners).item()


def scene(seed):
    """Ground truth on some images, detections near it and elsewhere."""
    random = np.random.default_rng(seed)
    boxes, hits = [], []
    for image in range(1, NUM_OBJECT + NUM_BACKGROUND + 1):
        for _ in range(random.integers(1, 4) if image <= NUM_OBJECT else 0):
            place = [*random.uniform(0, 40, 2), *random.uniform(10, 30, 2)]
            record = {"id": len(boxes) + 1, "image_id": image, "category_id": int(random.integers(1, 3)), "iscrowd": 0}
            boxes.append(record | {"bbox": place, "area": place[2] * place[3]})
            for _ in range(random.integers(1, 3)):
                moved = (np.array(place) + random.normal(0, 2, 4)).tolist()
                hits.append({"image_id": image, "category_id": record["category_id"], "bbox": moved})
        for _ in range(random.integers(0, 4)):
            place = [*random.uniform(0, 40, 2), *random.uniform(10, 30, 2)]
            hits.append({"image_id": image, "category_id": int(random.integers(1, 3)), "bbox": place})
    hits = [hit | {"score": float(score)} for hit, score in zip(hits, random.permutation(len(hits)), strict=True)]
    images = [{"id": i, "width": 80, "height": 80} for i in range(1, NUM_OBJECT + NUM_BACKGROUND + 1)]
    return {"images": images, "annotations": boxes, "categories": [{"id": 1}, {"id": 2}]}, hits


BACKGROUND = set(range(NUM_OBJECT + 1, NUM_OBJECT + NUM_BACKGROUND + 1))


@pytest.mark.parametrize("recall", [0.3, 0.8, 1.0])
def test_the_count_is_that_of_loops_over_every_threshold(recall):
    found = []
    for seed in range(25):
        truth, hits = scene(seed)
        found.append(false_alarms(truth, hits, BACKGROUND, recall=recall))
        assert found[-1] == by_loops(truth, hits, BACKGROUND, recall, 0.5), seed
    assert len(set(found)) > 3


def test_crowds_need_not_be_found_and_a_recall_out_of_reach_is_no_figure():
    truth, hits = scene(0)
    image = truth["annotations"][0]["image_id"]
    crowd = {"id": 99, "image_id": image, "category_id": 1, "iscrowd": 1, "bbox": [60.0, 60, 9, 9], "area": 81.0}
    with_crowd = truth | {"annotations": [*truth["annotations"], crowd]}
    assert false_alarms(with_crowd, hits, BACKGROUND) == false_alarms(truth, hits, BACKGROUND)
    assert false_alarms(truth, hits[:1], BACKGROUND) is None
    assert false_alarms(truth, [hit for hit in hits if hit["image_id"] in BACKGROUND], BACKGROUND) is None


@pytest.fixture
def root(tmp_path):
    truth, _ = scene(1)
    (tmp_path / "images").mkdir()
    for image in truth["images"]:
        image["file_name"] = f"{image['id']}.png"
        Image.new("RGB", (80, 80)).save(tmp_path / "images" / image["file_name"])
    empty = [image for image in truth["images"] if image["id"] in BACKGROUND]
    objects = truth | {"images": [image for image in truth["images"] if image["id"] not in BACKGROUND]}
    objects["categories"] = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
    # ids of another file may be anything
    (tmp_path / "background.json").write_text(json.dumps({"images": [image | {"id": 1} for image in empty]}))
    (tmp_path / "objects.json").write_text(json.dumps(objects))
    return tmp_path


def data(root, **options):
    return CocoDetection(root, "images", "objects.json", **options)


def test_background_images_join_the_others_as_many_as_wanted(root):
    files = {}
    for share in (0.0, 0.5, 1.0):
        joined = data(root, background="background.json", background_share=share)
        assert len(joined) == NUM_OBJECT + len(joined.background)
        files[share] = {joined.coco.imgs[identity]["file_name"] for identity in joined.background}
        targets = [joined[joined.image_ids.index(identity)][1] for identity in joined.background]
        assert all(target["boxes"].shape == (0, 4) for target in targets)
    assert files[1.0] == {f"{identity}.png" for identity in BACKGROUND}
    assert not files[0.0] and len(files[0.5]) == NUM_BACKGROUND // 2 and files[0.5] < files[1.0]
    assert not data(root).background


def test_what_is_no_background_is_refused(root):
    with pytest.raises(UserError, match=r"objects.json has \d+ annotations, but the images of a background have no"):
        data(root, background="objects.json")
    with pytest.raises(UserError, match="background_share must lie between 0 and 1, not at 2"):
        data(root, background="background.json", background_share=2)
    (root / "list.json").write_text("[]")
    with pytest.raises(UserError, match=r"list.json is no COCO detection file: it has no list 'images'"):
        data(root, background="list.json")
    with pytest.raises(UserError, match=r"list.json is no COCO detection file"):
        CocoDetection(root, "images", "list.json", background="background.json")


def test_an_evaluation_counts_false_alarms_where_there_is_background(root, caplog):
    for dataset, figure in ((data(root, background="background.json"), 1.5), (data(root), None)):
        evaluator = CocoEvaluator(dataset)
        for identity in dataset.image_ids:
            _, target = dataset[dataset.image_ids.index(identity)]
            found = {
                "boxes": target["boxes"],
                "labels": target["labels"],
                "scores": torch.full(target["labels"].shape, 0.9),
            }
            if identity in dataset.background:  # one alarm at least as sure as what is found, one not, every second one
                alarms = torch.tensor([[0.0, 0, 9, 9], [5, 5, 9, 9], [9, 9, 20, 20]])[: 3 - identity % 2]
                found = {"boxes": alarms, "labels": torch.ones(len(alarms), dtype=torch.int64)}
                found["scores"] = torch.tensor([0.95, 0.2, 0.9])[: len(alarms)]
            evaluator.update([identity], [found])
        metrics = evaluator.compute()
        assert metrics.get("bbox/false-alarms") == figure
    evaluator = CocoEvaluator(data(root, background="background.json"))
    evaluator.update([1], [{"boxes": torch.ones(1, 4), "labels": torch.ones(1), "scores": torch.ones(1)}])
    assert "bbox/false-alarms" not in evaluator.compute() and "Less than 80 % of the boxes" in caplog.text
