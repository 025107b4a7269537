"""train_net.py on detectron2 with data and weights that are not right: one sentence says what and where."""

import gc
import io
import json
import shutil

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

from sampling_free.data import generate_shapes
from sampling_free.data.shapes import ShapesSettings
from tests.detectron2.runs import arguments, failing, train_net

# what detectron2 and its neighbours warn of is not what is tested
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """The data that `arguments` asks for."""
    settings = ShapesSettings(num_train=24, num_val=6, size=64)
    return generate_shapes(tmp_path_factory.mktemp("shapes") / "data", settings)


@pytest.fixture
def folder(shapes, tmp_path):
    """A folder with data of its own and no run yet."""
    shutil.copytree(shapes, tmp_path / "data")
    return tmp_path


def changed(folder, change):
    """Change the annotation file of the training images."""
    file = folder / "data" / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return file


def test_degenerate_boxes_are_counted_named_and_dropped_or_refused(folder, capsys, caplog):
    def flatten(content):
        for annotation, box in zip(content["annotations"], ([5, 5, 0, 10], [5, 5, -3, 10]), strict=False):
            annotation["bbox"] = box

    file = changed(folder, flatten)
    said = failing(capsys, arguments(folder, "+dataloader.train.dataset.strict=true"), last=False)
    assert f"{file} has problems, and strict is set" in said
    caplog.set_level("INFO")
    assert train_net().main(arguments(folder, "train.max_iter=1", "train.prior=0.01")) == 0
    assert f"{file}: 2 bad annotations dropped; an object whose " in caplog.text
    assert "\n  2 x bbox without area: annotation 1 of image" in caplog.text


def test_training_data_with_other_categories_than_the_test_data_are_told(folder, capsys):
    other = [f"dataloader.train.dataset.root={folder}/other"]
    other += ["dataloader.train.dataset.settings={num_train: 4, num_val: 2, size: 64, num_classes: 3}"]
    said = failing(capsys, arguments(folder, *other))
    assert said == (
        "error: dataloader.train.dataset has 3 categories (circle, square, triangle), but the model was built with "
        "model.num_classes=5; set model.num_classes=3"
    )


def test_training_data_without_a_box_are_told(folder, capsys):
    changed(folder, lambda content: content.update(annotations=[]))
    assert "the training data has no box at all but of crowds: " in failing(capsys, arguments(folder))


def test_weights_that_are_not_finite_are_neither_evaluated_nor_saved(folder, capsys):
    # no further iteration would find a loss that is not finite
    overflow = ["optimizer.lr=1e38", "optimizer.weight_decay=1e38", "train.max_iter=1"]
    overflow += ["lr_multiplier.schedulers.0.start_value=1", "train.prior=0.01"]
    said = failing(capsys, arguments(folder, *overflow), status=3)
    assert "training diverged: after iteration 1 weights are not finite, " in said and " first; lower the" in said
    assert not list((folder / "run").glob("checkpoints/*.pth"))
    table = str(folder / "run" / "metrics.json")
    files = [item for item in gc.get_objects() if type(item) is io.TextIOWrapper]
    assert all(file.closed for file in files if getattr(file, "name", None) == table)


def test_a_proposal_network_that_is_not_finite_names_its_images(folder, capsys):
    overrides = ["optimizer.lr=1e30", "train.max_iter=9", "train.prior=0.01"]
    said = failing(capsys, arguments(folder, *overrides, config="faster_rcnn.py:shapes"), status=3)
    assert "in iteration 2: boxes or scores of the proposal network, of images [" in said and "not finite" in said
