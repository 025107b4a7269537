"""Findings against pycocotools, curves against a loop, kinds of mistakes and confusion against cases made by hand."""

import contextlib
import io
import json
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sampling_free.analysis import (
    Findings,
    best_threshold,
    confusion_matrix,
    error_types,
    find,
    paired_interval,
    threshold_curve,
    write_report,
)
from sampling_free.analysis.bootstrap import Resampled
from sampling_free.analysis.report import summarize
from sampling_free.errors import UserError

CATEGORIES = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}, {"id": 9, "name": "bird & <fish>"}]


def truth_of(objects, images=4):
    """A COCO file of (image, category id, box), or with a crowd's mark."""
    boxes = [
        {"id": number, "image_id": image, "category_id": category, "bbox": list(box), "iscrowd": int(any(crowd))}
        for number, (image, category, box, *crowd) in enumerate(objects)
    ]
    names = [{"id": image, "file_name": f"{image}.png"} for image in range(images)]
    return {"images": names, "annotations": boxes, "categories": CATEGORIES}


def results_of(detections):
    names = ("image_id", "category_id", "bbox", "score")
    return [dict(zip(names, detection, strict=True)) for detection in detections]


def drawn(generator, count, *, scores):
    """Random boxes that overlap often."""
    for _ in range(count):
        x, y = generator.integers(0, 5, 2) * 8.0
        width, height = generator.integers(2, 5, 2) * 6.0
        row = (int(generator.integers(4)), int(generator.choice([3, 7, 9])), [x, y, width, height])
        yield (*row, round(float(generator.random()), 2)) if scores else (*row, generator.random() < 0.1)


@pytest.fixture(scope="module")
def random_pair():
    generator = np.random.default_rng(0)
    return truth_of(drawn(generator, 60, scores=False)), results_of(drawn(generator, 300, scores=True))


def test_average_precision_is_that_of_pycocotools(random_pair):
    truth, results = random_pair
    findings = find(truth, results)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        numbered = [
            box | {"id": n, "area": box["bbox"][2] * box["bbox"][3]} for n, box in enumerate(truth["annotations"], 1)
        ]
        coco.dataset = truth | {"annotations": numbered}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes([dict(r) for r in results]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert np.nanmean(findings.average_precision) == pytest.approx(evaluation.stats[0])
    assert np.nanmean(findings.average_precision[0]) == pytest.approx(evaluation.stats[1])
    assert findings.categories == ["dog", "cat", "bird & <fish>"]


def test_ap_of_a_sample_is_that_of_pycocotools_on_the_images_as_often(random_pair):
    truth, results = random_pair
    # scores that differ: equal ones stand in the order of the images
    results = [box | {"score": box["score"] + number * 1e-7} for number, box in enumerate(results)]
    weights = np.array([2, 0, 1, 3])
    sample = {"images": [], "annotations": [], "categories": truth["categories"]}
    found = []
    for image, times in enumerate(weights):
        boxes = [box for box in truth["annotations"] if box["image_id"] == image]
        for name in (f"{image}-{copy}" for copy in range(times)):
            sample["images"].append({"id": name})
            sample["annotations"] += [box | {"image_id": name} for box in boxes]
            found += [box | {"image_id": name} for box in results if box["image_id"] == image]
    expected = 100 * np.nanmean(find(sample, found).average_precision)
    resampled = Resampled(find(truth, results))
    # copies of a detection count one after the other there, at once here
    assert resampled.average_precision(weights) == pytest.approx(expected, abs=0.5)
    whole = 100 * np.nanmean(find(truth, results).average_precision)
    assert resampled.average_precision(np.ones(4, dtype=int)) == pytest.approx(whole)


def test_the_interval_holds_the_difference_and_is_none_for_one_detector(random_pair, tmp_path):
    truth, results = random_pair
    better = results + results_of(
        (box["image_id"], box["category_id"], box["bbox"], 0.995) for box in truth["annotations"][::3]
    )
    pair = [find(truth, some) for some in (results, better)]
    assert paired_interval(pair[0], pair[0], samples=20) == (0, 0, 0)
    difference, low, high = paired_interval(*pair, samples=200)
    assert 0 < low < difference < high
    pair[1].save(tmp_path / "findings.npz")
    again, every = Findings.load(tmp_path / "findings.npz"), np.ones(4, dtype=int)
    assert again.images == ["0", "1", "2", "3"] and again.categories == pair[1].categories
    assert Resampled(again).average_precision(every) == Resampled(pair[1]).average_precision(every)
    with pytest.raises(UserError, match="different images"):
        paired_interval(find(truth_of([DOG], images=2), []), pair[0])


def test_the_curve_is_that_of_a_loop(random_pair):
    findings = find(*random_pair)
    for category in (None, 1):
        curve = threshold_curve(findings, category)
        chosen = [
            (score, hit)
            for score, hit, ignored, number in zip(
                findings.scores, findings.hits[0], findings.ignored[0], findings.classes, strict=True
            )
            if not ignored and category in (None, number)
        ]
        objects = sum(
            not crowd and category in (None, number)
            for crowd, number in zip(findings.crowds, findings.object_classes, strict=True)
        )
        for threshold, precision, recall in zip(curve.thresholds, curve.precision, curve.recall, strict=True):
            left = [hit for score, hit in chosen if score >= threshold]
            assert precision == pytest.approx(sum(left) / len(left))
            assert recall == pytest.approx(sum(left) / objects)
        best = max(2 * p * r / (p + r) if p + r else 0 for p, r in zip(curve.precision, curve.recall, strict=True))
        assert curve.f1[curve.thresholds == best_threshold(curve)] == pytest.approx(best)


DOG = (0, 3, [10, 10, 20, 20])


@pytest.mark.parametrize(
    ("detection", "kind", "missed"),
    [
        ((0, 3, [10, 10, 20, 20], 0.9), None, 0),
        ((0, 7, [10, 10, 20, 20], 0.9), "classification", 0),
        ((0, 3, [20, 10, 20, 20], 0.9), "localisation", 0),  # IoU 1/3
        ((0, 7, [20, 10, 20, 20], 0.9), "both", 1),
        ((0, 3, [60, 60, 20, 20], 0.9), "background", 1),
        ((1, 3, [10, 10, 20, 20], 0.9), "background", 1),
        ((0, 3, [10, 10, 20, 20], 0.4), None, 1),  # below the threshold
    ],
)
def test_kinds_of_mistakes(detection, kind, missed):
    counts = error_types(find(truth_of([DOG]), results_of([detection])), 0.5)
    assert counts.pop("missed") == missed
    assert {name for name, count in counts.items() if count} == ({kind} if kind else set())


def test_a_second_detection_of_an_object_is_a_duplicate():
    results = results_of([(0, 3, [10, 10, 20, 20], 0.9), (0, 3, [11, 10, 20, 20], 0.8)])
    assert error_types(find(truth_of([DOG]), results), 0.5) == {
        "classification": 0, "localisation": 0, "both": 0, "duplicate": 1, "background": 0, "missed": 0,
    }  # fmt: skip


def test_a_crowd_is_no_mistake():
    truth = truth_of([(0, 3, [0, 0, 60, 60], True)])
    findings = find(truth, results_of([(0, 3, [10, 10, 20, 20], 0.9)]))
    assert not any(error_types(findings, 0.5).values()) and not confusion_matrix(findings, 0.5).any()


def test_confusion():
    truth = truth_of([DOG, (0, 7, [50, 10, 20, 20]), (1, 9, [10, 10, 20, 20])])
    results = results_of([
        (0, 3, [10, 10, 20, 20], 0.9), (0, 9, [10, 10, 20, 20], 0.8),  # the dog is taken already
        (0, 3, [50, 10, 20, 20], 0.7),  # a cat taken for a dog
        (2, 7, [10, 10, 20, 20], 0.6),
    ])  # fmt: skip
    # dog, cat, bird, nothing
    expected = [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0]]
    assert confusion_matrix(find(truth, results), 0.5).tolist() == expected


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_every_object_and_every_detection_is_in_one_cell(seed, threshold):
    generator = np.random.default_rng(seed)
    findings = find(truth_of(drawn(generator, 12, scores=False)), results_of(drawn(generator, 25, scores=True)))
    matrix = confusion_matrix(findings, threshold)
    kept = (findings.scores >= threshold) & ~findings.ignored[0]
    assert (
        matrix[:-1].sum(axis=1).tolist() == np.bincount(findings.object_classes[~findings.crowds], minlength=3).tolist()
    )
    assert matrix[:, :-1].sum(axis=0).tolist() == np.bincount(findings.classes[kept], minlength=3).tolist()
    counts = error_types(findings, threshold)
    assert sum(counts.values()) - counts["missed"] == (kept & ~findings.hits[0]).sum()


class Page(HTMLParser):
    """A page's addresses, and whether every element that opens also ends."""

    EMPTY = ("meta", "br", "img", "path", "use")

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        if tag not in self.EMPTY:
            self.open.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("empty", [False, True], ids=["detections", "none"])
def test_the_report_is_one_page_that_needs_nothing_else(random_pair, tmp_path, empty):
    truth, results = random_pair
    for image in truth["images"]:
        cv2.imwrite(str(tmp_path / image["file_name"]), np.full((64, 80, 3), 90, np.uint8))
    file = write_report(tmp_path, truth, [] if empty else results, tmp_path)
    page = Page(file.read_text())
    assert not page.open and "bird & <fish>" in page.text
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert sum(address.startswith("data:") for address in page.addresses) == 4
    summary = json.loads((tmp_path / "analysis.json").read_text())
    assert f"{summary['AP'] or 0:.1f}" in page.text and summary["images_without_objects"] == 0
    assert sum(row["objects"] for row in summary["classes"].values()) == summary["objects"]


def test_false_alarms_on_images_without_objects():
    results = results_of([(0, 3, [10, 10, 20, 20], 0.9), *((1, 3, [x, 10, 20, 20], 0.95) for x in (0, 30, 60))])
    assert summarize(find(truth_of([DOG]), results))["false_alarms_per_image_without_objects"] == 1  # three on three
