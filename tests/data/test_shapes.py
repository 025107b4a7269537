"""The generated data set: deterministic, in COCO's format, and as hard as it says."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from sampling_free.data import check_annotations, generate_shapes, shapes
from sampling_free.data.shapes import ShapesSettings, draw, draw_single
from sampling_free.errors import UserError

SMALL = ShapesSettings(num_train=12, num_val=4, size=64)
MANY = range(300)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return generate_shapes(tmp_path_factory.mktemp("shapes") / "data", SMALL)


@pytest.fixture(scope="module")
def drawn():
    """What is annotated in 300 images of the usual size."""
    settings = ShapesSettings()
    return [draw(settings, "train", index)[1] for index in MANY]


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_same_settings_give_the_same_bytes(root, tmp_path):
    np.random.seed(1)  # no generator but its own
    assert files(generate_shapes(tmp_path / "again", SMALL)) == files(root)


def test_an_image_depends_on_seed_size_classes_split_and_number_alone(root, tmp_path):
    more = files(generate_shapes(tmp_path / "more", replace(SMALL, num_train=20)))
    assert all(more[name] == image for name, image in files(root).items() if name.endswith(".jpg"))
    image, _ = draw(SMALL, "train", 3)
    for settings, split, index in (
        (replace(SMALL, seed=1), "train", 3),
        (SMALL, "val", 3),
        (SMALL, "train", 4),
    ):
        assert (draw(settings, split, index)[0] != image).mean() > 0.5


def test_the_files_are_coco_s_and_pass_the_check(root):
    for split, count in (("train", 12), ("val", 4)):
        file = root / "annotations" / f"instances_{split}.json"
        checked = check_annotations(file, root / split, masks=True, strict=True, num_classes=5)
        assert len(checked.coco["images"]) == count == len(list((root / split).glob("*.jpg")))
        coco = COCO(str(file))
        assert sorted(coco.cats) == [1, 2, 3, 4, 5]
        for box in coco.anns.values():
            mask = coco.annToMask(box)
            rows, columns = np.where(mask)
            left, top, width, height = box["bbox"]
            assert (left, top) == (columns.min(), rows.min())
            assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)
            assert box["area"] == mask.sum() and mask.shape == (64, 64)
        image = cv2.imread(str(root / split / "000000.jpg"))
        assert image.shape == (64, 64, 3)


def test_written_images_are_those_drawn(root):
    image = cv2.imread(str(root / "train" / "000003.jpg"))[..., ::-1].astype(float)
    expected, objects = draw(SMALL, "train", 3)
    assert np.abs(image - expected).mean() < 9  # jpeg and noise
    content = json.loads((root / "annotations" / "instances_train.json").read_text())
    written = [box for box in content["annotations"] if box["image_id"] == 4]
    assert [box["category_id"] for box in written] == [category for category, _ in objects]
    for box, (_, visible) in zip(written, objects, strict=True):
        assert np.array_equal(coco_mask.decode(box["segmentation"]).astype(bool), visible)


def test_one_image_in_ten_holds_nothing(drawn):
    empty = sum(not objects for objects in drawn)
    assert 0.04 * len(drawn) < empty < 0.2 * len(drawn)


def test_objects_are_of_8_to_100_pixels_and_of_every_class(drawn):
    masks = [visible for objects in drawn for _, visible in objects]
    sides = np.array([max(np.ptp(np.where(mask), axis=1) + 1) for mask in masks])
    assert np.percentile(sides, 1) < 12 and sides.max() > 85 and sides.max() <= 105
    assert np.mean((sides >= 8) & (sides <= 100)) > 0.95
    assert np.percentile(sides, 50) < 45  # as many small ones as large ones
    counts = np.bincount([category for objects in drawn for category, _ in objects], minlength=6)[1:]
    assert counts.min() > 0.7 * counts.mean()


def test_objects_cover_each_other_but_stay_recognisable(drawn, monkeypatch):
    """Each object's mask is what is seen of it; nothing is annotated twice, and nothing that can hardly be seen."""
    assert all(sum(visible.astype(int) for _, visible in objects).max() <= 1 for objects in drawn if objects)
    shares, seen = [], shapes._seen

    def recorded(pieces, size):
        found = seen(pieces, size)
        shares.extend(visible.sum() / piece.mask.sum() for piece, visible in found if piece.category)
        return found

    monkeypatch.setattr(shapes, "_seen", recorded)
    for index in MANY[:100]:
        draw(ShapesSettings(), "train", index)
    assert min(shares) >= 0.35 and np.mean(np.array(shares) < 0.95) > 0.15


def test_distractors_are_painted_and_not_annotated(monkeypatch):
    whole, seen = [draw(SMALL, "train", index) for index in range(20)], shapes._seen
    monkeypatch.setattr(shapes, "_seen", lambda *call: [pair for pair in seen(*call) if pair[0].category])
    changed = []
    for index, (image, objects) in enumerate(whole):
        without, same = draw(SMALL, "train", index)
        assert [category for category, _ in objects] == [category for category, _ in same]
        changed.append((np.abs(image.astype(int) - without).max(axis=2) > 20).sum())
    assert np.mean(np.array(changed) > 20) > 0.8  # few are hidden behind objects


def test_fewer_classes_are_the_first_ones():
    settings = replace(SMALL, num_classes=2)
    categories = {category for index in range(30) for category, _ in draw(settings, "train", index)[1]}
    assert categories == {1, 2}


def test_single_shapes_know_their_kind():
    kinds = {draw_single(0, index, 32)[1] for index in range(200)}
    assert kinds == set(range(shapes.NUM_SINGLES))
    assert np.array_equal(draw_single(0, 7, 32)[0], draw_single(0, 7, 32)[0])


def test_what_is_there_is_used_again_and_nothing_else_is_overwritten(root, tmp_path):
    before = (root / "shapes.json").stat().st_mtime_ns
    assert generate_shapes(root, SMALL) == root
    assert (root / "shapes.json").stat().st_mtime_ns == before
    with pytest.raises(UserError, match=f"folder {root} exists but does not hold the shapes of .*seed=1"):
        generate_shapes(root, replace(SMALL, seed=1))
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="choose another root or remove it"):
        generate_shapes(tmp_path, SMALL)
    assert (tmp_path / "mine.txt").is_file()


def test_a_data_set_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def failing(settings, split, index):
        if index == 2:
            raise KeyboardInterrupt
        return draw(settings, split, index)

    monkeypatch.setattr(shapes, "draw", failing)
    with pytest.raises(KeyboardInterrupt):
        generate_shapes(tmp_path / "data", SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"num_train": 0}, {"num_val": 0}, {"size": 31}, {"num_classes": 6}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(UserError, match="shapes need at least 1 image of each split, a size of at least 32"):
        ShapesSettings(**wrong)


def test_from_the_command_line(tmp_path, monkeypatch):
    arguments = ["shapes", "--root", str(tmp_path / "d"), "--num-train", "2", "--num-val", "1", "--size", "32"]
    monkeypatch.setattr("sys.argv", arguments)
    shapes.main()
    assert len(files(tmp_path / "d")) == 6


@pytest.mark.parametrize("arguments", [["--root", "d", "--size", "3"], ["--root", "/proc/none/d"]])
def test_a_mistake_on_the_command_line_is_one_sentence(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["shapes", *arguments])
    with pytest.raises(SystemExit, match="2"):
        shapes.main()
    assert "error: shapes " in capsys.readouterr().err.splitlines()[-1]
