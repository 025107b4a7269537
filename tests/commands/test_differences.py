"""The sentences below a comparison's table: which interval is told, and over what."""

import pytest

from sampling_free.analysis import find, paired_interval
from sampling_free.commands.differences import differences

BOX = [10, 10, 20, 20]


def findings_of(num_found, images=12):
    """Of a detector that finds the object of some images."""
    truth = {
        "images": [{"id": image} for image in range(images)],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": BOX} for i in range(images)],
        "categories": [{"id": 1, "name": "a"}],
    }
    return find(truth, [{"image_id": i, "category_id": 1, "bbox": BOX, "score": 0.9} for i in range(num_found)])


def result(score, diverged=False):
    return {"metrics": {} if diverged else {"bbox/AP": score}, "diverged": diverged}


def test_one_seed_has_an_interval_over_images(tmp_path):
    pair = {"R, own": findings_of(6), "R, ours": findings_of(9), "S, own": findings_of(3)}
    folders = {}
    for name, findings in pair.items():
        folders[name] = [tmp_path / name]
        folders[name][0].mkdir()
        findings.save(folders[name][0] / "findings.npz")
    said = differences(folders, {name: [result(1.0)] for name in pair})
    mean, low, high = paired_interval(pair["R, own"], pair["R, ours"])
    assert low < 25 < high and mean == pytest.approx(25, abs=1)
    assert f"R, ours minus R, own: {mean:+.1f} AP; 95 % interval {low:+.1f} to {high:+.1f} over 12 images" in said
    assert said.count("minus") == 1  # the first row of another detector is compared with none


def test_several_seeds_have_an_interval_over_seeds(tmp_path):
    rows = {"own": [result(10.0), result(12.0), result(11.0)], "ours": [result(11.0), result(14.0), result(12.0)]}
    said = differences({name: [tmp_path] * 3 for name in rows}, rows)
    # differences 1, 2, 1: mean 4/3, deviation 0.577, times 4.303 over the root of 3
    assert "ours minus own: +1.3 AP; 95 % interval -0.1 to +2.8 over 3 seeds, paired." in said


def test_what_diverged_or_left_no_findings_has_no_difference(tmp_path):
    rows = {"own": [result(10.0)], "ours": [result(11.0)], "gone": [result(0.0, diverged=True)]}
    assert differences({name: [tmp_path] for name in rows}, rows) == ""
    assert differences({"own": [tmp_path]}, {"own": [result(1.0)]}) == ""
