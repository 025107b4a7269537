"""VOC's layout against a folder written by hand: corners, splits, what is difficult, what is broken."""

import pytest
from PIL import Image

from sampling_free.data import check_annotations, read_voc
from sampling_free.errors import UserError

SIZE = "<size><width>40</width><height>32</height><depth>3</depth></size>"


def item(name="cat", corners=(1, 1, 40, 32), difficult=None):
    tags = "".join(
        f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    hard = "" if difficult is None else f"<difficult>{difficult}</difficult>"
    return f"<object><name>{name}</name>{hard}<bndbox>{tags}</bndbox></object>"


def write(root, split, images, size=SIZE, suffix="jpg"):
    """A folder of VOC's layout: the images are named, each with its `<object>`s."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for stem, objects in images.items():
        text = f"<annotation><filename>{stem}.{suffix}</filename>{size}{''.join(objects)}</annotation>"
        (root / "Annotations" / f"{stem}.xml").write_text(text)
        Image.new("RGB", (40, 32)).save(root / "JPEGImages" / f"{stem}.{suffix}")
    (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in images))
    return root, split


def test_corners_count_from_one_and_include_the_last_pixel(tmp_path):
    pair = write(tmp_path, "train", {"a": [item(), item("dog", (11.5, 5, 20, 8))]})
    whole, inner = read_voc([pair], ["dog", "cat"])["annotations"]
    assert (whole["bbox"], whole["category_id"]) == ([0, 0, 40, 32], 2)  # an object as large as its image
    assert (inner["bbox"], inner["category_id"]) == ([10.5, 4, 9.5, 4], 1)


def test_splits_are_joined_and_pass_the_check(tmp_path):
    pairs = [write(tmp_path / year, "trainval", {"a": [item()], "b": []}) for year in ("VOC2007", "VOC2012")]
    content = read_voc(pairs, ["cat"])
    checked = check_annotations(content, "", strict=True)
    assert checked.summary == "4 images (2 without boxes), 2 boxes (cat 2)"
    assert [image["file_name"] for image in content["images"]] == [
        str(tmp_path / year / "JPEGImages" / f"{stem}.jpg") for year in ("VOC2007", "VOC2012") for stem in "ab"
    ]
    assert [box["image_id"] for box in content["annotations"]] == [1, 3]


def test_difficult_objects_neither_train_nor_count_unless_wanted(tmp_path):
    pair = write(tmp_path, "train", {"a": [item(difficult=1), item(difficult=0), item()]})
    assert [box["iscrowd"] for box in read_voc([pair], ["cat"])["annotations"]] == [1, 0, 0]
    wanted = read_voc([pair], ["cat"], difficult_as_crowd=False)
    assert [box["iscrowd"] for box in wanted["annotations"]] == [0, 0, 0]


def test_faults_are_found_by_the_check_and_named_by_file_and_object(tmp_path):
    objects = [item("mouse"), item(corners=(1, 1, 99, 9)), item(corners=(9, 9, 5, 12)), item(corners=(1, "x", 3, 9))]
    checked = check_annotations(read_voc([write(tmp_path, "train", {"a": [*objects, item()]})], ["cat"]), "")
    assert dict(checked.problems.places) == {
        "unknown category": ["a.xml, object 1, category mouse, bbox [0.0, 0.0, 40.0, 32.0]"],
        "bbox outside its image": ["a.xml, object 2, category 1, bbox [0.0, 0.0, 99.0, 9.0]"],
        "bbox without area": ["a.xml, object 3, category 1, bbox [8.0, 8.0, -3.0, 4.0]"],
        "bbox that is not four numbers": ["a.xml, object 4, category 1, bbox [1.0, None, 3.0, 9.0]"],
    }
    assert len(checked.coco["annotations"]) == 1


@pytest.mark.parametrize("size", ["", "<size><width>nan</width><height>32</height></size>", "<size><width/></size>"])
def test_an_image_without_a_size_is_named(size, tmp_path):
    content = read_voc([write(tmp_path, "train", {"a": [item()]}, size)], ["cat"])
    with pytest.raises(UserError, match="the data set is empty\n  1 x image without a positive integer height and"):
        check_annotations(content, "", source="VOC")


def test_images_may_be_of_another_kind(tmp_path):
    content = read_voc([write(tmp_path, "train", {"a": [item()]}, suffix="png")], ["cat"])
    assert not check_annotations(content, "").problems


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match=f"there is no image list {tmp_path}/ImageSets/Main/train.txt; check the data"):
        read_voc([(tmp_path, "train")], ["cat"])
    pair = write(tmp_path, "train", {"a": [item()]})
    (tmp_path / "JPEGImages" / "a.jpg").unlink()
    with pytest.raises(UserError, match=f"image without a file: image 1 .{tmp_path}/JPEGImages/a.jpg"):
        check_annotations(read_voc([pair], ["cat"]), "")
    (tmp_path / "Annotations" / "a.xml").write_text("<annotation>")
    with pytest.raises(UserError, match=f"annotation {tmp_path}/Annotations/a.xml cannot be read"):
        read_voc([pair], ["cat"])
    pair = write(tmp_path, "train", {name: [item()] for name in "abcde"})
    for name in "bcde":
        (tmp_path / "Annotations" / f"{name}.xml").write_text("<annotation>")
    with pytest.raises(UserError, match="(?s)Annotations/b.xml cannot .*/d.xml cannot be read: [^;]*; and 1 more$"):
        read_voc([pair], ["cat"])
