"""What layouts of data sets are recognised, and what is said of those that are not."""

import json
import shutil

import pytest

from sampling_free.data.annotations import check_annotations
from sampling_free.data.layouts import find
from sampling_free.errors import UserError
from tests.commands import layouts


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    root = layouts.coco(folder / "coco")
    layouts.voc(root, folder / "voc")
    layouts.yolo(root, folder / "yolo")
    return folder


def boxes(data_set, split="train"):
    """Per image the named boxes, whatever the layout calls its images."""
    content = check_annotations(data_set.splits[split], data_set.root, strict=True).coco
    names = {category["id"]: category["name"] for category in content["categories"]}
    stems = {i["id"]: i["file_name"].rpartition("/")[2].removeprefix(f"{split}_") for i in content["images"]}
    found = {stem: [] for stem in stems.values()}
    for entry in content["annotations"]:
        found[stems[entry["image_id"]]].append((names[entry["category_id"]], *entry["bbox"]))
    return found


@pytest.mark.parametrize("layout", ["voc", "yolo"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_all_layouts_hold_the_same_boxes(data, layout, split):
    expected, found = boxes(find(data / "coco"), split), boxes(find(data / layout), split)
    assert expected.keys() == found.keys() and ([] in found.values()) == (split == "train")
    for name, objects in expected.items():
        assert [entry[0] for entry in objects] == [entry[0] for entry in found[name]]
        for mine, other in zip(objects, found[name], strict=True):
            assert mine[1:] == pytest.approx(other[1:], abs=1e-3)


def test_roboflow_s_export_and_its_unused_category(data, tmp_path):
    for split, content in layouts.contents(data / "coco"):
        folder = tmp_path / {"val": "valid"}.get(split, split)
        shutil.copytree(data / "coco" / split, folder)
        classes = [category | {"supercategory": "shapes"} for category in content["categories"]]
        content["categories"] = [{"id": 0, "name": "shapes", "supercategory": "none"}, *classes]
        (folder / "_annotations.coco.json").write_text(json.dumps(content))
    found = find(tmp_path)
    assert "exported by Roboflow: 12 images to train on, 4 images to evaluate on" in found.sentence
    assert found.names == ["circle", "square", "triangle", "star", "cross"]
    assert boxes(found) == boxes(find(data / "coco"))


def test_yolo_without_a_yaml_file_and_with_outlines(data, tmp_path):
    shutil.copytree(data / "yolo", tmp_path / "y")
    (tmp_path / "y" / "data.yaml").unlink()
    (tmp_path / "y" / "classes.txt").write_text("circle\nsquare\ntriangle\nstar\ncross\n")
    label = next((tmp_path / "y" / "labels" / "train").glob("*.txt"))
    label.write_text("1 0.25 0.25 0.75 0.25 0.5 0.75\n7 0.5 0.5 0.1 0.1\n1 0.5 x 0.1 0.1\n")
    found = find(tmp_path / "y").splits["train"]
    mine = [entry for entry in found["annotations"] if entry["source"].startswith(str(label))]
    assert mine[0]["bbox"] == pytest.approx([16, 16, 32, 32]) and len(mine[0]["segmentation"][0]) == 6
    places = check_annotations(found).problems.places
    assert [str(label) in places[kind][0] for kind in ("unknown category",)] == [True]
    assert any(f"{label}, line 3" in place for kind in places.values() for place in kind)


def test_what_cannot_be_read_is_said(data, tmp_path):
    with pytest.raises(UserError, match="there is no data set at"):
        find(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"holds nothing that can be read; a data set is COCO"):
        find(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps(dict(layouts.contents(data / "coco"))["train"]))
    with pytest.raises(UserError, match=r"the images of .*a.json are not found: there is no 0*\d+.jpg in"):
        find(tmp_path)
