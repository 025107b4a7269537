"""Data sets of COCO's format, VOC's layout and generated shapes as torchvision's detectors take them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from sampling_free.errors import UserError
from sampling_free.torchvision.train import transforms
from sampling_free.torchvision.train.datasets import VOC_CLASSES, CocoDetection, Shapes, VocDetection
from tests.data.test_voc import item, write


def box(identity, image, category, left, top, width, height, **more):
    right, bottom = left + width, top + height
    outline = [[left, top, right, top, right, bottom, left, bottom]]
    place = {"bbox": [left, top, width, height], "segmentation": outline}
    return {"id": identity, "image_id": image, "category_id": category} | place | more


BOXES = [
    box(1, 4, 18, 2, 3, 10, 8),
    box(2, 4, 3, 20, 10, 6, 6),
    box(3, 9, 3, 0, 0, 40, 32),
    box(4, 9, 3, 1, 1, 9, 9, iscrowd=1),
]
MODES = {4: "RGB", 6: "L", 9: "P"}  # colour, grey, a palette


@pytest.fixture
def root(tmp_path):
    """A data set of COCO's format: three images of 40 x 32, one without boxes, one whose boxes are partly a crowd."""
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    for identity, mode in MODES.items():
        Image.fromarray(pixels).convert(mode).save(tmp_path / "images" / f"{identity}.png")
    images = [{"id": i, "file_name": f"{i}.png", "height": 32, "width": 40} for i in MODES]
    categories = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}]
    content = {"images": images, "annotations": BOXES, "categories": categories}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path


def coco(root, **options):
    return CocoDetection(root, "images", "instances.json", **options)


def test_an_item_is_what_torchvision_takes(root):
    data = coco(root, masks=True)
    image, target = data[0]
    pixels = np.asarray(Image.open(root / "images" / "4.png"))
    assert type(image) is torch.Tensor and image.dtype == torch.float32
    torch.testing.assert_close(image, torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255)
    assert target["boxes"].tolist() == [[2, 3, 12, 11], [20, 10, 26, 16]] and target["boxes"].dtype == torch.float32
    assert target["labels"].tolist() == [2, 1] and target["labels"].dtype == torch.int64  # ids 3, 18 in order
    assert target["image_id"] == 4
    assert target["masks"].shape == (2, 32, 40) and target["masks"].dtype == torch.uint8
    assert target["masks"].sum(dim=(1, 2)).tolist() == [80, 36]
    assert all(type(value) is torch.Tensor for name, value in target.items() if name != "image_id")
    assert "masks" not in coco(root)[0][1]


def test_grey_and_palette_images_have_three_channels(root):
    data = coco(root)
    assert [data[i][0].shape for i in range(3)] == [(3, 32, 40)] * 3


def test_labels_are_contiguous_or_the_category_ids(root):
    data = coco(root)
    assert (data.num_labels, data.label_names, data.categories) == (3, {1: "car", 2: "dog"}, ["car", "dog"])
    data = coco(root, labels="category_id")
    assert (data.num_labels, data.label_names) == (19, {3: "car", 18: "dog"})
    assert data[0][1]["labels"].tolist() == [18, 3]
    with pytest.raises(UserError, match="labels must be 'contiguous' or 'category_id', not 'ids'"):
        coco(root, labels="ids")


def test_images_without_boxes_stay_unless_unwanted(root):
    data = coco(root, masks=True)
    assert data.image_ids == [4, 6, 9]
    _, target = data[1]
    assert target["boxes"].shape == (0, 4) and target["labels"].shape == (0,) and target["masks"].shape == (0, 32, 40)
    assert coco(root, keep_empty=False).image_ids == [4, 9]
    assert data.summary == "3 images (1 without boxes), 4 boxes (car 3, dog 1), 1 of them of crowds (car 1)"


def test_nothing_left_is_an_empty_data_set(root):
    file = root / "instances.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"annotations": []}))
    assert len(coco(root)) == 3
    with pytest.raises(UserError, match="instances.json has no image with boxes: the data set is empty"):
        coco(root, keep_empty=False)


def test_a_crowd_does_not_train_but_counts_in_evaluation(root):
    data = coco(root)
    assert data[2][1]["boxes"].tolist() == [[0, 0, 40, 32]]
    assert [box["iscrowd"] for box in data.coco.loadAnns(data.coco.getAnnIds(9))] == [0, 1]


def test_a_flip_moves_image_boxes_and_masks_alike(root):
    image, target = coco(root, masks=True)[0]
    flipped, moved = coco(root, masks=True, transforms=transforms.training(flip=1.0))[0]
    assert torch.equal(flipped, image.flip(-1)) and torch.equal(moved["masks"], target["masks"].flip(-1))
    assert moved["boxes"].tolist() == [[28, 3, 38, 11], [14, 10, 20, 16]]
    assert torch.equal(moved["labels"], target["labels"])


def test_what_a_crop_leaves_without_area_goes_with_its_label_and_mask(root):
    class LeftHalf(v2.Transform):
        def transform(self, value, params):
            return v2.functional.crop(value, 0, 0, 32, 16)

    crop = v2.Compose([LeftHalf(), transforms.evaluation()])
    _, target = coco(root, masks=True, transforms=crop)[0]
    assert target["boxes"].tolist() == [[2, 3, 12, 11]] and target["labels"].tolist() == [2]
    assert target["masks"].shape == (1, 32, 16)


def test_a_bad_box_is_dropped_and_said_or_refused(root):
    file = root / "instances.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["bbox"] = [2, 3, -10, 8]
    content["annotations"][1]["segmentation"] = []
    file.write_text(json.dumps(content))
    assert "1 bad annotation dropped" in coco(root).summary
    assert "2 bad annotations dropped" in coco(root, masks=True).summary
    with pytest.raises(UserError, match="(?s)strict is set.*1 x bbox without area"):
        coco(root, strict=True)


@pytest.mark.parametrize(("change", "words"), [(b"no image", "cannot be read"), (None, "is 32 x 40, but its")])
def test_an_image_that_went_bad_names_its_path(root, change, words):
    data = coco(root)
    path = root / "images" / "9.png"
    if change is None:
        Image.new("RGB", (32, 40)).save(path)
    else:
        path.write_bytes(change)
    with pytest.raises(UserError, match=f"image {path} {words}"):
        data[2]


def test_a_truncated_image_names_its_path(root):
    path = root / "images" / "4.png"
    whole = coco(root)
    path.write_bytes(path.read_bytes()[:600])  # the header is whole
    with pytest.raises(UserError, match=f"image {path} cannot be read"):
        whole[0]
    assert coco(root).image_ids == [6, 9]
    with pytest.raises(UserError, match=f"1 x image that cannot be read: image 4 .{path}"):
        coco(root, strict=True)


def test_data_that_are_not_there_say_where_they_were_looked_for(tmp_path):
    with pytest.raises(UserError, match=f"there is no data set at {tmp_path}/none; set the dataset's root in the"):
        coco(tmp_path / "none")
    with pytest.raises(UserError, match=f"there is no annotation file {tmp_path}/instances.json"):
        coco(tmp_path)
    with pytest.raises(UserError, match="there is no image list .*VOC2007/ImageSets/Main/trainval.txt"):
        VocDetection(tmp_path, [["VOC2007", "trainval"]])


def test_voc_s_layout_gives_the_same_items(tmp_path):
    write(tmp_path / "VOC2007", "trainval", {"a": [item("person", (3, 4, 12, 11)), item("car", difficult=1)]})
    write(tmp_path / "VOC2012", "trainval", {"b": [], "c": [item("cat"), item("mouse", (1, 1, 99, 9))]})
    with pytest.raises(UserError, match="not listed: mouse 1; "):
        VocDetection(tmp_path, [["VOC2012", "trainval"]])
    write(tmp_path / "VOC2012", "trainval", {"b": [], "c": [item("cat"), item("dog", (1, 1, 99, 9))]})
    data = VocDetection(tmp_path, [["VOC2007", "trainval"], ["VOC2012", "trainval"]])
    assert data.categories == VOC_CLASSES and len(VOC_CLASSES) == 20 and data.num_labels == 21
    image, target = data[0]
    assert image.shape == (3, 32, 40) and target["boxes"].tolist() == [[2, 3, 12, 11]]
    assert target["labels"].tolist() == [VOC_CLASSES.index("person") + 1]
    assert [len(data[i][1]["boxes"]) for i in range(3)] == [1, 0, 1]
    assert data.image_path(2) == tmp_path / "VOC2012" / "JPEGImages" / "c.jpg"
    assert "1 bad annotation dropped" in data.summary
    with pytest.raises(UserError, match=r"(?s)VOC2007 \(trainval\) and .*c.xml, object 2, category 12"):
        VocDetection(tmp_path, [["VOC2007", "trainval"], ["VOC2012", "trainval"]], strict=True)
    own = VocDetection(tmp_path, [["VOC2012", "trainval"]], classes=["dog", "cat"])
    assert own.label_names == {1: "dog", 2: "cat"} and own[1][1]["labels"].tolist() == [2]


def test_shapes_are_drawn_on_first_use(tmp_path):
    settings = {"num_train": 3, "num_val": 2, "size": 48}
    data = Shapes(tmp_path / "shapes", "val", settings=settings, masks=True)
    assert len(data) == 2 and data.num_labels == 6
    for image, target in (data[i] for i in range(2)):
        assert image.shape == (3, 48, 48)
        for (left, top, right, bottom), mask in zip(target["boxes"].int().tolist(), target["masks"], strict=True):
            rows, columns = torch.where(mask)
            assert (left, top) == (columns.min(), rows.min())
            assert (right, bottom) == (columns.max() + 1, rows.max() + 1)
    assert len(Shapes(tmp_path / "shapes", "train", settings=settings)) == 3


def test_labels_are_those_that_a_model_knows_the_names_by(root):
    data = coco(root)
    data.match({1: "dog", 2: "bus", 3: "car"})
    assert data.label_names == {1: "dog", 3: "car"} and data[0][1]["labels"].tolist() == [1, 3]
    assert data.category_of_label == {1: 18, 3: 3} and data.num_labels == 4
    with pytest.raises(UserError, match="instances.json has boxes of car, which is no class that the model was"):
        data.match({1: "dog"})


def test_a_turned_picture_trains_as_viewers_show_it(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((40, 32, 3), np.uint8)
    pixels[:, :8] = 255  # the top, when upright
    Image.fromarray(pixels).save(root / "images" / "4.png", exif=exif)
    image, _ = coco(root)[0]
    assert image.shape == (3, 32, 40) and image[:, :8].min() == 1 and image[:, 8:].max() == 0
