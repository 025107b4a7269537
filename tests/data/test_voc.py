"""VOC's layout against a folder written by hand: corners, splits, what is difficult, what is broken."""

from pathlib import Path

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


def check(content, **options):
    """The check of VOC's content, whose file names are whole paths."""
    return check_annotations(content, "", allow_outside=True, **options)


def test_corners_count_from_one_and_include_the_last_pixel(tmp_path):
    pair = write(tmp_path, "train", {"a": [item(), item("dog", (11.5, 5, 20, 8))]})
    whole, inner = read_voc([pair], ["dog", "cat"])["annotations"]
    assert (whole["bbox"], whole["category_id"]) == ([0, 0, 40, 32], 2)  # an object as large as its image
    assert (inner["bbox"], inner["category_id"]) == ([10.5, 4, 9.5, 4], 1)


def test_splits_are_joined_and_pass_the_check(tmp_path):
    pairs = [write(tmp_path / year, "trainval", {"a": [item()], "b": []}) for year in ("VOC2007", "VOC2012")]
    content = read_voc(pairs, ["cat"])
    checked = check(content, strict=True)
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
    objects = [item(corners=(1, 1, 99, 9)), item(corners=(9, 9, 5, 12)), item(corners=(1, "x", 3, 9))]
    checked = check(read_voc([write(tmp_path, "train", {"a": [*objects, item()]})], ["cat"]))
    assert dict(checked.problems.places) == {
        "bbox outside its image": ["a.xml, object 1, category 1, bbox [0.0, 0.0, 99.0, 9.0]"],
        "bbox without area": ["a.xml, object 2, category 1, bbox [8.0, 8.0, -3.0, 4.0]"],
        "bbox that is not four numbers": ["a.xml, object 3, category 1, bbox [1.0, None, 3.0, 9.0]"],
    }
    assert len(checked.coco["annotations"]) == 1


@pytest.mark.parametrize("size", ["", "<size><width>nan</width><height>32</height></size>", "<size><width/></size>"])
def test_an_image_without_a_size_has_that_of_its_file(size, tmp_path):
    checked = check(read_voc([write(tmp_path, "train", {"a": [item()]}, size)], ["cat"]))
    assert (checked.coco["images"][0]["height"], checked.coco["images"][0]["width"]) == (32, 40)
    assert list(checked.problems.places) == ["image without a size, now its file's"]


def listed(root, lines, **options):
    """Names of the images that a list of these lines has, and what was said of them."""
    (root / "ImageSets" / "Main" / "list.txt").write_bytes(lines)
    return [Path(image["file_name"]).name for image in read_voc([(root, "list")], ["cat"], **options)["images"]]


def test_a_line_is_a_name_and_a_second_field_is_that_of_a_class_s_list(tmp_path, caplog):
    write(tmp_path, "all", {"photo": [], "photo (1)": [], "photo 1": [], "b": []})
    assert listed(tmp_path, b"photo\nphoto (1)\n  photo 1  \n") == ["photo.jpg", "photo (1).jpg", "photo 1.jpg"]
    assert listed(tmp_path, b"photo -1\r\nb  1\r\nphoto (1)\t0\r\n\r\n") == ["photo.jpg", "b.jpg", "photo (1).jpg"]
    assert not caplog.text
    assert listed(tmp_path, b"b\nphoto\nb\n") == ["b.jpg", "photo.jpg"]
    assert "1 x image that its list names twice, now once: b in " in caplog.text
    with pytest.raises(UserError, match="Annotations/b 2.xml cannot be read"):
        listed(tmp_path, b"b 2\n")
    with pytest.raises(UserError, match="names ../b, which lies outside of"):
        listed(tmp_path, b"../b\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "gbk"])
def test_lists_and_annotations_are_read_in_any_encoding_that_is_said(encoding, tmp_path):
    write(tmp_path, "all", {"猫狗": [item("猫狗")]})
    declared = f"<?xml version='1.0' encoding='{encoding}'?>" if encoding == "gbk" else ""
    file = tmp_path / "Annotations" / "猫狗.xml"
    file.write_text(declared + file.read_text(), encoding=encoding)
    lines = "猫狗\n".encode(encoding)
    if encoding in ("gbk", "utf-16-le"):  # nothing says what it is
        with pytest.raises(UserError, match="image list .*list.txt cannot be read: it .*; save it as UTF-8"):
            listed(tmp_path, lines)
        lines = "猫狗".encode()
    if encoding == "utf-16-le":
        with pytest.raises(UserError, match="猫狗.xml cannot be read: it .*; save it as UTF-8"):
            listed(tmp_path, lines, leave_out_unlisted=True)
        return
    assert listed(tmp_path, lines, leave_out_unlisted=True) == ["猫狗.jpg"]
    assert [box["bbox"] for box in read_voc([(tmp_path, "list")], ["猫狗"])["annotations"]] == [[0, 0, 40, 32]]


def test_an_encoding_that_nobody_knows_is_told(tmp_path):
    write(tmp_path, "all", {"a": []})
    (tmp_path / "Annotations" / "a.xml").write_text("<?xml version='1.0' encoding='klingon'?><annotation/>")
    with pytest.raises(UserError, match="a.xml cannot be read: it is not in klingon .*save it as UTF-8"):
        listed(tmp_path, b"a")


def test_the_image_of_an_annotation_is_that_of_its_name(tmp_path, caplog):
    write(tmp_path, "all", {"a": [], "b": []}, suffix="PNG")
    file = tmp_path / "Annotations" / "b.xml"
    file.write_text(file.read_text().replace("b.PNG", "C:\\data\\a.PNG"))
    assert listed(tmp_path, b"a\nb") == ["a.PNG", "b.PNG"]
    assert "1 x annotation whose <filename> is of another image, now with that of its name: b.xml: a.PNG" in caplog.text
    (tmp_path / "JPEGImages" / "b.PNG").unlink()
    assert listed(tmp_path, b"a\nb") == ["a.PNG", "a.PNG"]
    assert "1 x annotation without an image of its name, now with that of <filename>: b.xml: a.PNG" in caplog.text


def test_classes_that_are_not_listed_are_refused_or_left_out_and_counted(tmp_path, caplog):
    pair = write(tmp_path, "all", {"a": [item(), item("mouse"), item("mouse"), item("")]})
    with pytest.raises(UserError, match=r"not listed: mouse 2, \(no name\) 1; the classes are cat: list them"):
        read_voc([pair], ["cat"])
    assert len(read_voc([pair], ["cat"], leave_out_unlisted=True)["annotations"]) == 1
    assert "mouse 2, (no name) 1; they are left out, and train as background" in caplog.text


def test_images_may_be_of_another_kind(tmp_path):
    content = read_voc([write(tmp_path, "train", {"a": [item()]}, suffix="png")], ["cat"])
    assert not check(content).problems


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match=f"there is no image list {tmp_path}/ImageSets/Main/train.txt; check the data"):
        read_voc([(tmp_path, "train")], ["cat"])
    pair = write(tmp_path, "train", {"a": [item()]})
    (tmp_path / "JPEGImages" / "a.jpg").unlink()
    with pytest.raises(UserError, match=f"image without a file: image 1 .{tmp_path}/JPEGImages/a.jpg"):
        check(read_voc([pair], ["cat"]))
    (tmp_path / "Annotations" / "a.xml").write_text("<annotation>")
    with pytest.raises(UserError, match=f"annotation {tmp_path}/Annotations/a.xml cannot be read"):
        read_voc([pair], ["cat"])
    pair = write(tmp_path, "train", {name: [item()] for name in "abcde"})
    for name in "bcde":
        (tmp_path / "Annotations" / f"{name}.xml").write_text("<annotation>")
    with pytest.raises(UserError, match="(?s)Annotations/b.xml cannot .*/d.xml cannot be read: [^;]*; and 1 more$"):
        read_voc([pair], ["cat"])
