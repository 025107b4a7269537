"""Every kind of fault that an annotation file can have, alone and all in one file, strict and by default."""

import json
import logging

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from sampling_free.data import check_annotations
from sampling_free.data.masks import _runs_of, check_mask
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
    ({"category_id": 10**30}, "unknown category"),
    ({"image_id": True}, "annotation of an unknown or dropped image"),
    ({"id": 1}, "annotation that stands in the file before"),
    ({"bbox": [2, 3, 1e300, 8]}, "bbox that is not finite"),
    ({"bbox": [2, 3, 10**400, 8]}, "bbox that is not finite"),
    ({"bbox": [40, 3, 0.5, 8]}, "bbox outside its image"),
    ({"iscrowd": "no"}, "iscrowd that is neither 0 nor 1"),
    ({"iscrowd": 2}, "iscrowd that is neither 0 nor 1"),
    ({"iscrowd": []}, "iscrowd that is neither 0 nor 1"),
]
MENDED = [  # and what the annotation has then
    ({"area": NAN}, "area that is no positive number, now its box's", {"area": 80.0}),
    ({"area": "80"}, "area that is no positive number, now its box's", {"area": 80.0}),
    ({"area": None}, "area that is no positive number, now its box's", {"area": 80.0}),
    ({"area": -3.5}, "area that is no positive number, now its box's", {"area": 80.0}),
    ({"area": 0}, "area that is no positive number, now its box's", {"area": 80.0}),
    ({"area": 10**400}, "area that is no positive number, now its box's", {"area": 80.0}),
    ({"iscrowd": None}, "iscrowd that is no number", {"iscrowd": 0}),
    ({"iscrowd": "0"}, "iscrowd that is no number", {"iscrowd": 0}),
    ({"iscrowd": "1"}, "iscrowd that is no number", {"iscrowd": 1}),
    ({"image_id": 1.0}, "annotation's image_id with a decimal point", {"image_id": 1}),
    ({"category_id": 7.0}, "annotation's category_id with a decimal point", {"category_id": 7}),
]
NOBODYS = [0, -5, 2**40, "two", None, 1, True, 3.5, [1]]  # ids of annotations
BAD_IMAGES = [
    ({"file_name": "none.png"}, "image without a file"),
    ({"width": 41}, "image whose file has another size"),
    ({"width": 32, "height": 40}, "image whose file has another size"),  # the two exchanged
    ({"id": 1}, "duplicate image id"),
    ({"id": "2"}, "image without an integer id and a file name"),
    ({"file_name": 2}, "image without an integer id and a file name"),
    ({"file_name": "a\0b.png"}, "image without a file"),
    ({"file_name": "\ud800.png"}, "image without a file"),
    ({"file_name": "x" * 5000}, "image without a file"),
    ({"file_name": "."}, "image that cannot be read"),
    ({"file_name": "cut.png"}, "image that cannot be read"),
]
MENDED_IMAGES = [
    ({"width": 0}, "image without a size, now its file's"),
    ({"height": None, "width": None}, "image without a size, now its file's"),
    ({"height": "32"}, "image without a size, now its file's"),
    ({"height": 32.0}, "image's height with a decimal point"),
    ({"id": 2.0}, "image's id with a decimal point"),
    ({"file_name": "b.PNG"}, "image whose suffix is in another case"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two images of 40 x 32 pixels."""
    folder = tmp_path_factory.mktemp("images")
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((32, 40, 3), np.uint8)).save(folder / name)
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:50])
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


@pytest.mark.parametrize(("change", "kind", "values"), MENDED, ids=str)
def test_what_can_be_mended_is_and_is_counted(change, kind, values, folder, caplog):
    checked = check_annotations(content([change]), folder)
    assert checked.coco["annotations"][1] == GOOD | {"id": 2, "area": 80.0, "iscrowd": 0} | values
    assert checked.problems.outcome == "1 value mended" and checked.summary.endswith("; 1 value mended")
    assert f"annotations: 1 value mended\n  1 x {kind}: annotation 2 of image " in caplog.text
    with pytest.raises(UserError, match=f"has problems, and strict is set:\n  1 x {kind}"):
        check_annotations(content([change]), folder, strict=True)


@pytest.mark.parametrize(("change", "kind"), MENDED_IMAGES, ids=str)
def test_an_image_s_entry_is_mended_from_its_file(change, kind, folder):
    checked = check_annotations(content(images=[change]), folder)
    assert checked.coco["images"][1] == {"id": 2, "file_name": "b.png", "height": 32, "width": 40}
    assert list(checked.problems.places) == [kind] and checked.problems.mended == 1


@pytest.mark.parametrize("change", [{"width": 0}, {"height": None}, {"height": "32"}], ids=str)
def test_without_files_an_image_needs_a_size(change):
    checked = check_annotations(content(images=[change]))
    assert list(checked.problems.places) == ["image without a positive integer height and width"]


def test_ids_of_annotations_are_nobody_s_names(folder):
    """COCO's tool takes 0 for "no match"; a box is not worth less for that, nor for an id that is there already."""
    boxes = [{"id": identity, "bbox": [2, 3, 9, i + 1]} for i, identity in enumerate(NOBODYS)]
    checked = check_annotations(content(boxes), folder, strict=True)
    assert [box["id"] for box in checked.coco["annotations"]] == list(range(1, len(NOBODYS) + 2))
    absent = {"images": content()["images"], "annotations": [dict(GOOD)], "categories": content()["categories"]}
    del absent["annotations"][0]["id"]
    assert check_annotations(absent, folder, strict=True).coco["annotations"][0]["id"] == 1


def test_both_sizes_are_said_and_that_a_picture_is_turned(folder):
    checked = check_annotations(content(images=[{"width": 41}, {"id": 3, "width": 32, "height": 40}]), folder)
    (places,) = checked.problems.places.values()
    assert places[0].endswith("b.png): 40 x 32 in the file, 41 x 32 in its entry")
    assert places[1].endswith(
        "40 x 32 in the file, 32 x 40 in its entry (the picture is to be annotated as viewers turn it)"
    )


@pytest.mark.parametrize("name", ["../images/a.png", "/a.png", "x/../../a.png"])
def test_a_file_name_that_leaves_the_folder_is_refused_unless_that_is_trusted(name, folder):
    leaving = content(images=[{"file_name": name}])
    with pytest.raises(UserError, match=f"image {name} lies outside of the image folder .*; .*allow_outside=True"):
        check_annotations(leaving, folder)
    assert len(check_annotations(leaving, folder, allow_outside=True).coco["images"]) <= 2
    check_annotations(content(images=[{"file_name": "x/../b.png"}]), folder)


def test_boxes_that_are_shares_of_their_images_are_refused(folder):
    shares = content([{"bbox": [0.5, 0.5, 0.25, 0.5]}])
    check_annotations(shares, folder)
    del shares["annotations"][0]
    with pytest.raises(UserError, match=r"has boxes that all lie in \[0, 1\]: they are shares of their images"):
        check_annotations(shares, folder)


def test_crowds_are_said_by_class(folder):
    checked = check_annotations(content([{"iscrowd": 1}, {"category_id": 5, "iscrowd": True, "id": 3}]), folder)
    assert "3 boxes (dog 1, cat 2), 2 of them of crowds (dog 1, cat 1)" in checked.summary and checked.has_objects
    crowds = content([{"iscrowd": 1}])
    del crowds["annotations"][0]
    assert not check_annotations(crowds, folder).has_objects


def test_boxes_of_a_dropped_image_are_dropped_and_said(folder):
    checked = check_annotations(content([{"image_id": 2}], [{"file_name": "none.png"}]), folder)
    assert checked.problems.outcome == "1 bad annotation and 1 bad image dropped"
    assert checked.summary == (
        "1 images (0 without boxes), 1 boxes (dog 0, cat 1); 1 bad annotation and 1 bad image dropped"
    )


@pytest.mark.parametrize("strict", [False, True])
def test_all_problems_of_a_file_are_reported_together(strict, folder, tmp_path, caplog):
    boxes = [change | {"id": change.get("id", 100 + i)} for i, (change, _) in enumerate(BAD_BOXES)]
    changed = [change for change, _ in BAD_IMAGES if "\ud800" not in str(change)]
    boxes += [{"id": 200 + i, "bbox": [2, 3, 0, 8]} for i in range(7)]
    broken = content(boxes, changed)
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
        assert checked.problems.dropped == len(boxes) and checked.problems.dropped_images == len(changed)
        assert f"{len(boxes)} bad annotations and {len(changed)} bad images dropped; an object whose" in said
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
        ("[" * 100_000, "it is nested too deeply"),
        (f"[{'9' * 6000}]", "cannot be read as json: Exceeds the limit"),
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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(encoding, folder, tmp_path):
    named = content() | {"categories": [{"id": 7, "name": "猫狗"}]}
    (tmp_path / "a.json").write_text(json.dumps(named, ensure_ascii=False), encoding=encoding)
    assert check_annotations(tmp_path / "a.json", folder, strict=True).coco["categories"] == named["categories"]
    (tmp_path / "a.json").write_text(json.dumps(named, ensure_ascii=False), encoding="gbk")
    with pytest.raises(UserError, match="it is not in utf-8 .*; save it as UTF-8"):
        check_annotations(tmp_path / "a.json", folder)


def test_names_of_a_file_are_said_in_one_line_of_any_terminal(folder, caplog):
    odd = content([{"category_id": 3, "source": "a\nb\x1b[2J\ud800 圆"}])
    odd["categories"][0] |= {"name": "cat\ud800\n"}
    checked = check_annotations(odd, folder)
    assert checked.coco["categories"][1]["name"] == "cat?\n" and "cat?\\n 1" in checked.summary
    assert "a\\nb\\x1b[2J\\ud800 圆, category 3" in caplog.text


def test_a_good_file_passes_unchanged_and_in_silence(folder, caplog):
    caplog.set_level(logging.INFO)
    good = content([{"image_id": 2, "iscrowd": 1, "area": 5.0, "segmentation": SQUARE}], [{}])
    checked = check_annotations(good, folder, masks=False, strict=True, num_classes=2)
    assert checked.coco["annotations"] == [GOOD | {"area": 80.0, "iscrowd": 0}, good["annotations"][1]]
    assert checked.coco["images"] == good["images"]
    assert [category["id"] for category in checked.coco["categories"]] == [5, 7]  # sorted by id
    assert not checked.problems and checked.problems.outcome == "" and caplog.text == ""
    assert checked.summary == "2 images (0 without boxes), 2 boxes (dog 0, cat 2), 1 of them of crowds (cat 1)"


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
        ([[2, 3, 12, 3, 22, 3]], "segmentation that is neither polygons nor run lengths"),  # flat
        ([[2, 2, 5, 5, 9, 9, 7, 7]], "segmentation that is neither polygons nor run lengths"),
        ([[2, 3, 2, 3, 2, 3]], "segmentation that is neither polygons nor run lengths"),
        ("a mask", "segmentation that is neither polygons nor run lengths"),
        ({"counts": [1280], "size": [32, 40]}, "segmentation that covers no pixel"),
        ({"counts": [0, 1281], "size": [32, 40]}, "segmentation whose run lengths do not fit its image"),
        ({"counts": [5, -5, 1280], "size": [32, 40]}, "segmentation whose run lengths do not fit its image"),
        ({"counts": "o", "size": [32, 40]}, "segmentation whose run lengths do not fit its image"),
        ({"counts": "\u5706", "size": [32, 40]}, "segmentation whose run lengths do not fit its image"),
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
    assert len(checked.coco["annotations"]) == 3
    assert list(checked.problems.places) == [kind]


def test_a_splinter_is_left_out_of_its_object(caplog):
    boxes = content([{"segmentation": [[1, 1, 5, 1], *SQUARE, [1, 1, 2, 1, 3, 1]]}])
    boxes["annotations"][0] = GOOD | {"segmentation": SQUARE}
    checked = check_annotations(boxes, masks=True)
    assert [box["segmentation"] for box in checked.coco["annotations"]] == [SQUARE, SQUARE]
    assert "1 x polygon without area, left out of its object: annotation 2 of image 1" in caplog.text


@pytest.mark.parametrize("seed", range(20))
def test_compressed_run_lengths_are_those_of_pycocotools(seed):
    generator = np.random.default_rng(seed)
    size = tuple(generator.integers(1, 90, 2).tolist())
    mask = np.asfortranarray(generator.random(size) < generator.choice([0.02, 0.5, 0.98]), np.uint8)
    mask[0, 0] = 1
    text = coco_mask.encode(mask)["counts"].decode()
    edges = np.flatnonzero(np.diff(mask.ravel(order="F"))) + 1
    assert _runs_of(text) == [0, *np.diff([0, *edges, mask.size]).tolist()]
    assert check_mask({"size": list(size), "counts": text}, size)[1:] == ("", "")
    assert check_mask({"size": list(size), "counts": text[:-1]}, size)[2]
