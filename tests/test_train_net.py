import csv
import json
import math
import shutil
import signal
import time

import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.files import corrupt
from tests.torchvision.runs import CONFIGS, arguments, failing, start, train_net

# Lightning and its neighbours warn of things that a test of our command line is not about
pytestmark = pytest.mark.filterwarnings("default")

WITHOUT_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, its data beside it."""
    folder = tmp_path_factory.mktemp("finished")
    assert train_net().main(arguments(folder, "train.max_iter=3", "train.eval_period=2")) == 0
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """A folder with data and no run yet."""
    shutil.copytree(finished / "data", tmp_path / "data")
    return tmp_path


def annotations(folder, split="train", **changes):
    file = folder / "data" / "annotations" / f"instances_{split}.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return file


def test_a_run_leaves_what_it_promises(finished):
    run = finished / "run"
    result = json.loads((run / "result.json").read_text())
    assert (result["iterations"], result["diverged"], result["reason"]) == (3, False, None)
    assert result["seconds_per_iteration"] > 0 and result["peak_memory_mb"] > 100
    assert 0 <= result["metrics"]["bbox/AP"] <= 100
    assert json.loads((run / "analysis.json").read_text())["AP"] == pytest.approx(result["metrics"]["bbox/AP"])
    pictures = {"first_batches.jpg", "predictions.jpg", "losses.png", "precision_recall.png"}
    assert {file.name for file in (run / "pictures").iterdir()} >= pictures
    files = ["config.yaml", "metrics.csv", "coco_results_bbox.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt"]
    files += ["report.html"]
    assert all((run / file).is_file() for file in files)
    header = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"step", "classification", "raw/classification", "ratio", "lr", "bbox/AP"} <= set(header)
    assert list((run / "tensorboard").glob("events*"))


def test_tensorboard_shows_what_the_csv_holds(finished):
    events = EventAccumulator(str(finished / "run" / "tensorboard"))
    events.Reload()
    shown = {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}
    with (finished / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("classification", "raw/bbox_regression", "ratio", "delta", "num_foreground", "lr", "bbox/AP50"):
        held = {int(row["step"]): float(row[name]) for row in rows if row[name]}
        assert held and shown[name] == pytest.approx(held), name


def test_the_log_tells_raw_losses_from_scaled_ones(finished):
    """Scaled losses say nothing by themselves: classification is delta times the guide, whatever was learned."""
    with (finished / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        value = {name: float(text) for name, text in row.items() if text}
        assert value["classification"] == pytest.approx(
            value["delta"] * value["ratio"] * value["raw/classification"], rel=1e-5
        )
        if value["num_foreground"]:
            assert value["ratio"] == pytest.approx(value["raw/bbox_regression"] / value["raw/classification"], rel=1e-5)
        regularizer = value["classification/regularizer"]
        assert regularizer == pytest.approx(-math.log(value["delta"]), abs=1e-6)
        total = value["classification"] + value["bbox_regression"] + regularizer
        assert value["total_loss"] == pytest.approx(total, rel=1e-5)


def test_the_last_iteration_is_evaluated_once_whatever_the_period(finished):
    header, *rows = [line.split(",") for line in (finished / "run" / "metrics.csv").read_text().splitlines()]
    assert [row[0] for row in rows if row[header.index("bbox/AP")]] == ["2", "3"]


def test_eval_only_gives_the_metrics_of_training_and_changes_no_file_of_it(finished, capsys):
    before = {name: (finished / "run" / name).read_bytes() for name in ("metrics.csv", "config.yaml", "result.json")}
    capsys.readouterr()
    assert train_net().main(arguments(finished, options=["--eval-only"])) == 0
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    metrics = json.loads(before["result.json"])["metrics"]
    assert {name: float(value) for name, value in printed.items()} == {n: round(v, 2) for n, v in metrics.items()}
    assert before == {name: (finished / "run" / name).read_bytes() for name in before}


def test_the_saved_config_runs_again(finished, capsys):
    config = str(finished / "run" / "config.yaml")
    assert train_net().main(["--config-file", config, "--eval-only"]) == 0
    assert "bbox/AP" in capsys.readouterr().out


def test_resuming_a_finished_run_says_so_and_trains_nothing(finished, capsys, caplog):
    caplog.set_level("INFO")
    before = (finished / "run" / "checkpoints" / "last.ckpt").read_bytes()
    assert train_net().main(arguments(finished, "train.max_iter=3", options=["--resume"])) == 0
    assert "has 3 of 3 iterations" in caplog.text
    assert (finished / "run" / "checkpoints" / "last.ckpt").read_bytes() == before


def test_a_run_killed_after_its_last_iteration_is_finished_by_resume(finished):
    result = finished / "run" / "result.json"
    before = json.loads(result.read_text())
    result.unlink()
    # the weights to start from are not those to evaluate
    argv = arguments(finished, "train.max_iter=3", "train.init_checkpoint=nowhere.ckpt", options=["--resume"])
    assert train_net().main(argv) == 0
    after = json.loads(result.read_text())
    assert (after["iterations"], after["metrics"]) == (3, before["metrics"])


def test_a_new_run_in_a_used_folder_keeps_the_former_checkpoints(folder, caplog):
    caplog.set_level("INFO")
    for _ in range(2):
        assert train_net().main(arguments(folder, "train.max_iter=1", "train.prior=0.01")) == 0
    assert (folder / "run" / "checkpoints.previous" / "last.ckpt").is_file()
    assert "checkpoints.previous" in caplog.text


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["train.max_iters=5"], "did you mean 'train.max_iter'"),
        (["train.max_iter=ten"], "train.max_iter must be a whole number of at least 1, not 'ten'"),
        (["train.log_period=0"], "train.log_period must be"),
        (["train.ema=2"], "train.ema must be"),
        (["train.prior=often"], 'train.prior must be "auto"'),
        (["train.precision=half"], "train.precision must be one of 32-true"),
        pytest.param(["train.precision=16-mixed"], "needs a CUDA device", marks=WITHOUT_CUDA),
        (["engine=no.such.engine"], "engine 'no.such.engine' of the config cannot be imported"),
        (["+model.scalings=1"], "model has no choice named scalings; did you mean scaling?"),
        (["+optimizer.learning_rate=1"], "optimizer (torch.optim.sgd.SGD)"),
        (["--resume"], "options go before key=value"),
        (["dataloader.train.total_batch_size=0"], "batch"),
        (["train.init_checkpoint=nowhere.ckpt"], "there are no weights at nowhere.ckpt"),
        (["train.output_dir=/proc/none/run"], "output folder /proc/none/run cannot be written"),
        (["model.num_classes=3"], "num_classes=3; it needs 6"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(folder, capsys, overrides, words):
    assert words in failing(capsys, arguments(folder, *overrides))


def test_print_config_shows_what_would_run_and_trains_nothing(folder, capsys):
    assert train_net().main(arguments(folder, "optimizer.lr=0.125", options=["--print-config"])) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["optimizer"]["lr"] == 0.125 and shown["train"]["output_dir"] == f"{folder}/run"
    assert shown["model"]["_target_"] == "sampling_free.torchvision.build.build_sampling_free"
    assert not (folder / "run").exists()


def test_configs_that_are_none(tmp_path, capsys):
    assert "does not exist" in failing(capsys, ["--config-file", str(tmp_path / "none.py")])
    (tmp_path / "empty.py").write_text("train = dict(max_iter=1)")
    assert "defines no `model`" in failing(capsys, ["--config-file", str(tmp_path / "empty.py")])


def test_weights_of_another_model_name_the_first_difference(finished, folder, capsys):
    weights = finished / "run" / "checkpoints" / "last.ckpt"
    other = [f"train.init_checkpoint={weights}", "model.num_classes=7"]
    said = failing(capsys, arguments(folder, *other, options=["--eval-only"]))
    assert "cls_logits.weight is (54, 64, 3, 3), not (63, 64, 3, 3)" in said
    text = folder / "text.pth"
    text.write_text("no checkpoint")
    assert "is no checkpoint" in failing(capsys, arguments(folder, f"train.init_checkpoint={text}"))


def test_resuming_with_another_model_names_the_first_difference(finished, capsys):
    said = failing(capsys, arguments(finished, "model.num_classes=7", options=["--resume"]))
    assert "last.ckpt" in said and "cls_logits.weight" in said


def test_data_that_cannot_train(folder, capsys):
    file = annotations(folder, annotations=[])
    assert "the training data has no box at all but of crowds: " in failing(capsys, arguments(folder))
    annotations(folder, images=[])
    assert f"{file} has no usable image: the data set is empty" in failing(capsys, arguments(folder))


def test_a_label_that_no_category_has_is_dropped_and_said_or_refused(folder, capsys, caplog):
    file = folder / "data" / "annotations" / "instances_train.json"
    boxes = json.loads(file.read_text())["annotations"]
    annotations(folder, annotations=[boxes[0] | {"category_id": 99}, *boxes[1:]])
    said = failing(capsys, arguments(folder, "+dataloader.train.dataset.strict=true"), last=False)
    assert f"{file} has problems, and strict is set" in said
    assert train_net().main(arguments(folder, "train.max_iter=1")) == 0
    assert f"{file}: 1 bad annotation dropped; an object whose " in caplog.text
    assert "\n  1 x unknown category: annotation 1 of image" in caplog.text


def test_coco_that_is_not_there(tmp_path, capsys):
    argv = ["--config-file", str(CONFIGS / "retinanet.py:coco"), f"train.output_dir={tmp_path}"]
    argv += [f"dataloader.{split}.dataset.root={tmp_path}/coco" for split in ("train", "test")]
    said = failing(capsys, argv)
    assert f"there is no data set at {tmp_path}/coco" in said


def test_a_corrupt_image_in_evaluation_is_named(finished, folder, capsys):
    image = sorted((folder / "data" / "val").glob("*.jpg"))[2]
    corrupt(image)
    weights = finished / "run" / "checkpoints" / "last.ckpt"
    argv = arguments(folder, f"train.init_checkpoint={weights}", options=["--eval-only"])
    assert f"image {image} cannot be read" in failing(capsys, argv)


def test_a_picture_that_is_scaled_to_nothing_is_named_before_the_first_iteration(folder, capsys):
    image = sorted((folder / "data" / "val").glob("*.jpg"))[0]
    Image.new("RGB", (3000, 4)).save(image)
    content = json.loads((folder / "data" / "annotations" / "instances_val.json").read_text())
    images = [
        entry | ({"width": 3000, "height": 4} if entry["file_name"] == image.name else {})
        for entry in content["images"]
    ]
    annotations(folder, "val", images=images)
    assert f"image {image.name} of 3000 x 4 pixels is scaled to nothing" in failing(capsys, arguments(folder))


def test_classes_are_matched_by_name_or_refused(finished, folder, capsys):
    """The validation file lists its classes in another order; then it has one that nobody trained."""
    weights = finished / "run" / "checkpoints" / "last.ckpt"
    evaluating = arguments(folder, f"train.init_checkpoint={weights}", options=["--eval-only"])
    assert train_net().main(evaluating) == 0
    before = sorted(capsys.readouterr().out.splitlines())
    content = json.loads((folder / "data" / "annotations" / "instances_val.json").read_text())
    turned = {category["id"]: 9 - category["id"] for category in content["categories"]}
    names = [category | {"id": turned[category["id"]]} for category in content["categories"]]
    boxes = [box | {"category_id": turned[box["category_id"]], "id": i} for i, box in enumerate(content["annotations"])]
    annotations(folder, "val", annotations=boxes, categories=names)
    assert train_net().main(evaluating) == 0
    assert sorted(capsys.readouterr().out.splitlines()) == before
    annotations(folder, "val", categories=[name | {"name": f"{name['name']}s"} for name in names])
    assert "which is no class that the model was trained on (circle, square" in failing(capsys, evaluating)
    assert "which is no class that the model was trained on (circle, square" in failing(capsys, arguments(folder))


def test_nothing_to_evaluate(folder, capsys):
    said = failing(capsys, arguments(folder, options=["--eval-only"]))
    assert f"there are no weights at {folder}/run/checkpoints/last.ckpt" in said


def test_data_that_cannot_be_scored(finished, folder, capsys, caplog):
    file = annotations(folder, "val", annotations=[])
    assert "the evaluation data has no box at all" in failing(capsys, arguments(folder))
    weights = finished / "run" / "checkpoints" / "last.ckpt"
    overrides = [f"train.init_checkpoint={weights}"]
    assert train_net().main(arguments(folder, *overrides, options=["--eval-only"])) == 0
    assert "there is no bbox AP to compute" in caplog.text
    results = json.loads((folder / "run" / "coco_results_bbox.json").read_text())
    images = {image["id"] for image in json.loads(file.read_text())["images"]}
    assert {result["image_id"] for result in results} <= images


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_image_is_named(folder, capsys, workers):
    for image in (folder / "data" / "train").glob("*.jpg"):
        corrupt(image)
    # with a prior of its own the first to read an image is the training stream
    argv = arguments(folder, "train.prior=0.01", f"dataloader.train.num_workers={workers}")
    said = failing(capsys, argv)
    assert f"image {folder}/data/train/" in said and said.count("error") <= 2 and len(said) < 400


def test_divergence_names_loss_iteration_and_images_and_keeps_the_last_good_checkpoint(folder, capsys):
    late = ["lr_multiplier.schedulers.0.end_value=1e30", "lr_multiplier.lengths=[0.1,0.9]"]
    argv = arguments(folder, "train.max_iter=30", "train.checkpoint_period=1", *late)
    said = failing(capsys, argv, status=3)
    assert {path.name for path in (folder / "run" / "pictures").iterdir()} >= {"first_batches.jpg", "losses.png"}
    result = json.loads((folder / "run" / "result.json").read_text())
    assert result["diverged"] and result["reason"] in said
    assert "diverged" in said and "iteration" in said and "last.ckpt" in said
    checkpoint = torch.load(folder / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())


def test_non_finite_loss_names_the_loss_and_its_images(folder, capsys):
    argv = arguments(
        folder, "optimizer.lr=1e30", "train.max_iter=9", "train.checkpoint_period=0", "train.eval_period=0"
    )
    said = failing(capsys, argv, status=3)
    assert "classification" in said and "of images [" in said


def test_weights_that_are_not_finite_are_not_saved(folder, capsys):
    # no further iteration would find a loss that is not finite
    overflow = ["optimizer.lr=1e38", "optimizer.params.weight_decay=1e38", "train.max_iter=1"]
    said = failing(capsys, arguments(folder, *overflow), status=3)
    assert "after iteration 1 weights are not finite" in said
    assert not list((folder / "run" / "checkpoints").glob("*.ckpt"))


def test_ctrl_c_ends_with_a_word(folder):
    # a shell without a terminal has its background jobs ignore Ctrl-C, and so would this one
    process = start(
        arguments(folder, "train.max_iter=100000", "train.eval_period=0"),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    log = folder / "run" / "metrics.csv"
    while not (log.is_file() and len(log.read_text().splitlines()) > 2):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "interrupted" in said.splitlines()[-1] and "Traceback" not in said


def test_the_option_list_is_detectron2s():
    options = {option for action in train_net().parser()._actions for option in action.option_strings}
    assert options == {"-h", "--help"} | {
        f"--{name}"
        for name in "config-file resume eval-only print-config num-gpus num-machines machine-rank dist-url".split()
    }
