"""Every kind of fault that an annotation file can have, alone and all in one file, strict and by default."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

from sampling_free.data import check_annotations
from sampling_free.errors import UserError

NAN = float("nan")
GOOD = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [2.0, 3.0, 10.0, 8.0]}
SQUARE = [[2.0, 3.0, 12.0, 3.0, 12.0, 11.0, 2.0, 11.0]]

BAD_BOXES = [
    ({"bbox": [30, 3, 20, 8]}, "bbox outside its image"),
    ({"bbox": [-3, 3, 20, 8]}, "bbox outside its image"),
    ({"bbox": [-1, 3, 1, 8]}, "bbox outside its image"),  # all that is left of it is the pixel that is forgiven
    ({"bbox": [2, 31, 20, 3]}, "bbox outside its image"),
    ({"bbox": [2, 3, 0, 8]}, "bbox without area"),
    ({"bbox": [2, 3, 10, -8]}, "bbox without area"),
    ({"bbox": [20, 3, 1e-9, 8]}, "bbox without area"),  # in float32
    ({"bbox": [2, NAN, 10, 8]}, "bbox that is not finite"),
    ({"bbox": [2, 3, float("inf"), 8]}, "bbox that is not finite"),
    ({"bbox": [2, 3, 10]}, "bbox that is not four numbers"),
    ({"bbox": [2, 3, 10, "8"]}, "bbox that is not four numbers"),
    ({"bbox": [2, 3, 10, None]}, "bbox that is not four numbers"),
    ({"bbox": {"x": 2}}, "bbox that is not four numbers"),
    ({"bbox": None}, "bbox that is not four numbers"),
    ({"category_id": 3}, "unknown category"),
    ({"category_id": [7]}, "unknown category"),
    ({"category_id": "7"}, "unknown category"),
    ({"category_id": None}, "unknown category"),
    ({"image_id": 99}, "annotation of an unknown or dropped image"),
    ({"image_id": [1]}, "annotation of an unknown or dropped image"),
    ({"id": 1}, "duplicate annotation id"),
    ({"id": "2"}, "annotation without an integer id"),
    ({"id": True}, "annotation without an integer id"),
    ({"iscrowd": "no"}, "iscrowd that is neither 0 nor 1"),
    ({"area": NAN}, "area that is no finite number"),
    ({"area": "80"}, "area that is no finite number"),
]
BAD_IMAGES = [
    ({"file_name": "none.png"}, "image without a file"),
    ({"width": 41}, "image whose file has another size"),
    ({"width": 32, "height": 40}, "image whose file has another size"),  # the two exchanged
    ({"width": 0}, "image without a positive integer height and width"),
    ({"height": 32.0}, "image without a positive integer height and width"),
    ({"height": None}, "image without a positive integer height and width"),
    ({"id": 1}, "duplicate image id"),
    ({"id": "2"}, "image without an integer id and a file name"),
    ({"file_name": 2}, "image without an integer id and a file name"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two images of 40 x 32 pixels."""
    folder = tmp_path_factory.mktemp("images")
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((32, 40, 3), np.uint8)).save(folder / name)
    return folder


def content(boxes=(), images=()):
    """A good image with a good box, and further ones."""
    image = {"id": 1, "file_name": "a.png", "height": 32, "width": 40}
    second = {"id": 2, "file_name": "b.png", "height": 32, "width": 40}
    return {
        "images": [image, *(second | change for change in images)],
        "annotations": [GOOD, *(GOOD | {"id": 2} | change for change in boxes)],
        "categories": [{"id": 7, "name": "cat"}, {"id": 5, "name": "dog"}],
    }


@pytest.mark.parametrize(("change", "kind"), BAD_BOXES, ids=str)
def test_a_bad_annotation_is_dropped_and_counted_or_stops(change, kind, folder, caplog):
    checked = check_annotations(content([change]), folder)
    assert [box["id"] for box in checked.coco["annotations"]] == [1]
    assert checked.problems.dropped == 1 and list(checked.problems.places) == [kind]
    assert "annotations: 1 bad annotation dropped" in caplog.text and f"1 x {kind}: annotation " in caplog.text
    with pytest.raises(UserError, match=f"has problems, and strict is set:\n  1 x {kind}: annotation .* of image "):
        check_annotations(content([change]), folder, strict=True)


@pytest.mark.parametrize(("change", "kind"), BAD_IMAGES, ids=str)
def test_a_bad_image_is_dropped_and_counted_or_stops(change, kind, folder, caplog):
    checked = check_annotations(content(images=[change]), folder)
    assert [image["file_name"] for image in checked.coco["images"]] == ["a.png"]
    assert checked.problems.dropped_images == 1 and list(checked.problems.places) == [kind]
    assert "annotations: 1 bad image dropped" in caplog.text and f"1 x {kind}: image " in caplog.text
    with pytest.raises(UserError, match=f"1 x {kind}: image "):
        check_annotations(content(images=[change]), folder, strict=True)


def test_boxes_of_a_dropped_image_are_dropped_and_said(folder):
    checked = check_annotations(content([{"image_id": 2}], [{"file_name": "none.png"}]), folder)
    assert checked.problems.outcome == "1 bad annotation and 1 bad image dropped"
    assert checked.summary == (
        "1 images (0 without boxes), 1 boxes (dog 0, cat 1); 1 bad annotation and 1 bad image dropped"
    )


@pytest.mark.parametrize("strict", [False, True])
def test_all_problems_of_a_file_are_reported_together(strict, folder, tmp_path, caplog):
    boxes = [change | {"id": change.get("id", 100 + i)} for i, (change, _) in enumerate(BAD_BOXES)]
    boxes += [{"id": 200 + i, "bbox": [2, 3, 0, 8]} for i in range(7)]
    broken = content(boxes, [change for change, _ in BAD_IMAGES])
    broken["categories"] += [{"id": 5, "name": "again"}, {"id": "6", "name": "six"}]
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(broken))
    if strict:
        with pytest.raises(UserError) as caught:
            check_annotations(file, folder, strict=True)
        said = str(caught.value)
    else:
        checked = check_annotations(file, folder)
        said = caplog.text
        assert [box["id"] for box in checked.coco["annotations"]] == [1] and len(checked.coco["images"]) == 1
        assert checked.problems.dropped == len(boxes) and checked.problems.dropped_images == len(BAD_IMAGES)
        assert f"{len(boxes)} bad annotations and {len(BAD_IMAGES)} bad images dropped" in said
    assert str(file) in said
    for _, kind in BAD_BOXES + BAD_IMAGES:
        assert f" x {kind}: " in said
    assert "1 x duplicate category id: 5" in said and "1 x category without an integer id and a name" in said
    # the first few, by annotation and image, with what is wrong, and how many more there are
    assert "10 x bbox without area: annotation 104 of image 1, category 7, bbox [2, 3, 0, 8]; annotation 105" in said
    assert "annotation 106 of image 1, category 7, bbox [20, 3, 1e-09, 8] and 7 more" in said


def test_two_categories_of_one_name_stay_two(folder, caplog):
    file = content([{}])
    file["categories"] = [{"id": 7, "name": "cell"}, {"id": 9, "name": "cell"}]
    checked = check_annotations(file, folder)
    assert [category["name"] for category in checked.coco["categories"]] == ["cell", "cell 9"]
    assert "nothing dropped" in caplog.text and "1 x category of another's name" in caplog.text


def test_what_dropping_cannot_mend_stops_and_is_named_with_all_else(folder):
    broken = content([{"bbox": [2, 3, 0, 8]}])
    with pytest.raises(UserError, match="(?s)has 2 categories, but the model has room for 1\n.*bbox without area"):
        check_annotations(broken, folder, num_classes=1)
    check_annotations(broken, folder, num_classes=2)
    with pytest.raises(UserError, match="no usable image: the data set is empty; it has no usable category"):
        check_annotations({"images": [], "annotations": [], "categories": []})
    with pytest.raises(UserError, match=f"belongs to the images in {folder}/none, but there is no such folder"):
        check_annotations(content(), folder / "none")
    missing = content() | {"images": [{"id": 1, "file_name": "z.png", "height": 32, "width": 40}]}
    with pytest.raises(UserError, match=rf"the data set is empty\n  1 x image without a file: image 1 \({folder}/z"):
        check_annotations(missing, folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as json"),
        ("[]", "is no COCO detection file: it has no list 'images'"),
        ('{"images": [], "annotations": {}}', "it has no list 'annotations'"),
        ('{"images": [3], "annotations": [], "categories": []}', "an entry of 'images' is no object"),
    ],
)
def test_a_file_that_is_none_is_said(text, message, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        check_annotations(tmp_path / "a.json")
    assert str(tmp_path / "a.json") in str(caught.value)
    with pytest.raises(UserError, match=f"there is no annotation file {tmp_path}/none.json"):
        check_annotations(tmp_path / "none.json")


def test_a_good_file_passes_unchanged_and_in_silence(folder, caplog):
    caplog.set_level(logging.INFO)
    good = content([{"image_id": 2, "iscrowd": 1, "area": 5.0, "segmentation": SQUARE}], [{}])
    checked = check_annotations(good, folder, masks=False, strict=True, num_classes=2)
    assert checked.coco["annotations"] == [GOOD | {"area": 80.0, "iscrowd": 0}, good["annotations"][1]]
    assert checked.coco["images"] == good["images"]
    assert [category["id"] for category in checked.coco["categories"]] == [5, 7]  # sorted by id
    assert not checked.problems and checked.problems.outcome == "" and caplog.text == ""
    assert checked.summary == "2 images (0 without boxes), 2 boxes (dog 0, cat 2)"


def test_a_test_set_without_annotations_has_images_without_boxes(folder):
    unlabelled = {name: entries for name, entries in content().items() if name != "annotations"}
    checked = check_annotations(unlabelled, folder, strict=True)
    assert checked.summary == "1 images (1 without boxes), 0 boxes (dog 0, cat 0)"


def test_a_pixel_too_much_is_cut_off():
    """Annotation tools round; what lies further out is a mistake."""
    checked = check_annotations(content([{"bbox": [-0.6, 20, 41.0, 12.9]}]), strict=True)
    assert checked.coco["annotations"][1]["bbox"] == pytest.approx([0, 20, 40, 12])


@pytest.mark.parametrize(
    ("mask", "kind"),
    [
        (None, "segmentation that is neither polygons nor run lengths"),
        ([], "segmentation that is neither polygons nor run lengths"),
        ([[2, 3, 12, 3]], "segmentation that is neither polygons nor run lengths"),
        ([[2, 3, 12, 3, 12, 11, 2]], "segmentation that is neither polygons nor run lengths"),
        ([[2, 3, 12, 3, 12, NAN]], "segmentation that is neither polygons nor run lengths"),
        ({"counts": [0, 1280], "size": [40, 32]}, "segmentation whose run lengths do not fit its image"),
        ({"size": [32, 40]}, "segmentation whose run lengths do not fit its image"),
    ],
)
def test_masks_are_checked_where_they_train(mask, kind):
    good = [{"id": 3, "segmentation": SQUARE}, {"id": 4, "segmentation": {"counts": [0, 1280], "size": [32, 40]}}]
    boxes = content([{"id": 2, "segmentation": mask}, *good])
    boxes["annotations"][0] = GOOD | {"segmentation": SQUARE}
    assert not check_annotations(boxes).problems
    checked = check_annotations(boxes, masks=True)
    assert [box["id"] for box in checked.coco["annotations"]] == [1, 3, 4]
    assert list(checked.problems.places) == [kind]
