"""train_net.py on detectron2: what a run leaves, and one sentence for each mistake."""

import csv
import json
import math
import os
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import numpy as np
import torch
from detectron2.config import LazyCall as L
from detectron2.data import get_detection_dataset_dicts

from sampling_free import config
from sampling_free.detectron2.train import engine
from tests.detectron2.runs import CONFIGS, ROOT, arguments, failing, finished, seen_on_a_terminal, train_net, weights
from tests.files import corrupt

# what detectron2 and its neighbours warn of is not what is tested
pytestmark = pytest.mark.filterwarnings("default")

# every box is a detection; without a prior from the data the threshold is the config's
ALL = ["train.prior=null", "+model.test_score_thresh=0.0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, its data beside it."""
    folder = tmp_path_factory.mktemp("finished")
    options = ["train.max_iter=3", "train.eval_period=2", "train.gradient_shares=true"]
    assert train_net().main(arguments(folder, *options, *ALL)) == 0
    return folder


@pytest.fixture
def folder(run, tmp_path):
    """A folder with data and no run yet."""
    shutil.copytree(run / "data", tmp_path / "data")
    return tmp_path


def rows(folder):
    return list(csv.DictReader((folder / "run" / "metrics.csv").read_text().splitlines()))


def test_a_run_leaves_what_it_promises(run):
    files = "config.yaml metrics.csv metrics.json coco_results_bbox.json precision_recall.json examples.json".split()
    files += ["checkpoints/last.pth", "checkpoints/best.pth", "report.html"]
    files += [
        f"pictures/{name}" for name in "first_batches.jpg predictions.jpg losses.png precision_recall.png".split()
    ]
    assert [file for file in files if not (run / "run" / file).is_file()] == []
    assert list((run / "run" / "tensorboard").glob("events*"))
    result = json.loads((run / "run" / "result.json").read_text())
    assert (result["iterations"], result["diverged"], result["reason"]) == (3, False, None)
    analysis = json.loads((run / "run" / "analysis.json").read_text())
    assert analysis["AP"] == pytest.approx(result["metrics"]["bbox/AP"])
    assert result["seconds_per_iteration"] > 0 and result["peak_memory_mb"] > 100
    assert 0 <= result["metrics"]["bbox/AP"] <= 100 and "bbox/AP-circle" in result["metrics"]
    table = rows(run)
    assert {"step", "loss_cls", "raw/loss_cls", "ratio", "total_loss", "lr", "bbox/AP"} <= set(table[0])
    assert [row["step"] for row in table] == ["1", "2", "3"]
    assert all(0 < float(row[f"gradient/{what}"]) < 1 for row in table for what in ("foreground", "classification"))
    assert [row["step"] for row in table if row["bbox/AP"]] == ["2", "3"]
    assert all(json.loads(line)["iteration"] >= 0 for line in (run / "run" / "metrics.json").read_text().splitlines())


def test_eval_only_gives_the_metrics_of_training_at_the_threshold_that_the_user_said(run, capsys):
    files = ("metrics.csv", "config.yaml", "result.json", "coco_results_bbox.json")
    before = {name: (run / "run" / name).read_bytes() for name in files}
    assert len(json.loads(before["coco_results_bbox.json"])) > 100
    capsys.readouterr()
    assert train_net().main(arguments(run, *ALL, options=["--eval-only"])) == 0
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    metrics = json.loads(before["result.json"])["metrics"]
    assert {name: float(value) for name, value in printed.items()} == {n: round(v, 2) for n, v in metrics.items()}
    assert before == {name: (run / "run" / name).read_bytes() for name in before}


def test_resuming_a_finished_run_says_so_and_trains_nothing(run, caplog):
    caplog.set_level("INFO")
    last, result = run / "run" / "checkpoints" / "last.pth", run / "run" / "result.json"
    before, metrics = last.read_bytes(), json.loads(result.read_text())["metrics"]
    result.unlink()  # as if it had been killed after its last iteration
    assert train_net().main(arguments(run, "train.max_iter=3", *ALL, options=["--resume"])) == 0
    assert "resuming" in caplog.text and "has 3 of 3 iterations" in caplog.text
    assert last.read_bytes() == before
    assert json.loads(result.read_text())["metrics"] == metrics


def test_the_prior_is_counted_in_the_data_and_stays_with_the_weights(folder, caplog):
    caplog.set_level("INFO")
    assert train_net().main(arguments(folder, "train.max_iter=1", "optimizer.lr=0")) == 0
    assert "Foreground: " in caplog.text and "Images without objects: 2." in caplog.text
    state = weights(folder)
    foreground, examples = (float(state[f"statistics.num_{name}"]) for name in ("foreground", "examples"))
    assert float(state["fitted_threshold.value"]) == pytest.approx(foreground / examples)
    bias = -math.log(5 * examples / foreground - 1)
    assert state["head.cls_score.bias"].tolist() == pytest.approx([bias] * 45, rel=1e-5)
    # a second run starts from those weights, though the former ones are aside
    assert (
        train_net().main(
            arguments(folder, "train.max_iter=1", "train.prior=0.5", "train.amp.enabled=true", "train.amp.dtype=bf16")
        )
        == 0
    )
    assert weights(folder)["head.cls_score.bias"].abs().max() < 0.1
    assert all(math.isfinite(float(row["total_loss"])) for row in rows(folder))
    assert (folder / "run" / "checkpoints.previous" / "last.pth").is_file()


def test_float16_trains_on_a_cpu_and_goes_on_from_a_run_without_it(folder):
    half = ["train.amp.enabled=true", "train.amp.dtype=fp16", "train.clip_grad=1"]
    for overrides, options in (
        (["train.max_iter=1", "train.prior=0.01"], ()),
        (["train.max_iter=4", "train.prior=0.01", *half], ["--resume"]),
    ):
        assert train_net().main(arguments(folder, *overrides, config="fcos.py:shapes", options=options)) == 0
    table = rows(folder)
    assert len(table) == 4 and all(math.isfinite(float(row["total_loss"])) for row in table)
    state = torch.load(folder / "run" / "checkpoints" / "last.pth", weights_only=True)
    # gradients are scaled, and no step was left out for one that is not finite
    assert (state["trainer"]["scaler"]["scale"], state["trainer"]["scaler"]["_growth_tracker"]) == (2.0**16, 3)


def test_a_dense_detector_resumed_equals_one_that_was_not_stopped(folder):
    def trained(max_iter, output, *options):
        # a constant rate, which does not ask how long the run is
        constant = ["lr_multiplier.schedulers.0.start_value=1", "lr_multiplier.schedulers.1.values=[1,1]"]
        run = [f"train.max_iter={max_iter}", f"train.output_dir={folder}/{output}/run", *constant]
        assert train_net().main(arguments(folder, *run, config="atss.py:shapes", options=options)) == 0
        return weights(folder / output), rows(folder / output)

    whole, table = trained(4, "whole")
    stopped, _ = trained(2, "cut")
    resumed, same = trained(4, "cut", "--resume")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert not torch.equal(stopped["head.head.cls_logits.weight"], resumed["head.head.cls_logits.weight"])
    assert [row["total_loss"] for row in table] == [row["total_loss"] for row in same] and len(table) == 4


def test_a_terminal_shows_a_bar_and_a_log_does_not(folder):
    argv = arguments(folder, "train.max_iter=3", "train.prior=0.01")
    shown = seen_on_a_terminal(argv)
    assert "| 0/3 [" in shown and "training: 100%|" in shown and "| 3/3 [" in shown
    last = shown[shown.rindex("training: ") :].splitlines()[0]
    assert "loss_cls=" in last and "loss_box_reg=" in last and "ratio=" in last
    assert "iter: " not in shown
    logged = finished(argv)
    assert "training:  " not in logged and "/3 [" not in logged and logged.count("iter: ") == 3


def test_clipping_limits_the_step(folder):
    still = ["train.max_iter=1", "train.prior=0.01", "optimizer.weight_decay=0", "optimizer.momentum=0"]
    still += ["lr_multiplier.schedulers.0.start_value=1"]
    assert train_net().main(arguments(folder, *still, "optimizer.lr=0")) == 0
    start = weights(folder)
    assert train_net().main(arguments(folder, *still, "optimizer.lr=1", "train.clip_grad=1e-3")) == 0
    moved = weights(folder)
    names = [n for n in moved if n.endswith((".weight", ".bias")) and "running" not in n]
    step = torch.cat([(moved[name] - start[name]).flatten() for name in names]).norm()
    assert 5e-4 < step < 1.1e-3


def test_without_detections_ap_is_0_of_boxes_and_masks(folder, caplog):
    threshold = "model.roi_heads.box_predictor.test_score_thresh=2.0"
    argv = arguments(folder, "train.max_iter=1", "train.prior=0.01", threshold, config="mask_rcnn.py:shapes")
    assert train_net().main(argv) == 0
    metrics = json.loads((folder / "run" / "result.json").read_text())["metrics"]
    assert {name: value for name, value in metrics.items() if value != 0} == {}
    assert {"bbox/AP", "segm/AP", "segm/AP-star"} <= set(metrics)
    assert "No detections: bbox AP is 0." in caplog.text and "No detections: segm AP is 0." in caplog.text
    assert json.loads((folder / "run" / "coco_results_segm.json").read_text()) == []


def test_prediction_is_plain_arrays_on_the_images_pixels(run):
    cfg = config.load(run / "run" / "config.yaml")
    model = engine.load_model(cfg, run / "run" / "checkpoints" / "last.pth")
    image = np.random.default_rng(0).integers(0, 255, (50, 80, 3), dtype=np.uint8)
    found = engine.predict(model, image)
    assert set(found) == {"boxes", "scores", "labels"} and len(found["boxes"]) == len(found["scores"]) > 0
    assert all(isinstance(value, np.ndarray) for value in found.values())
    assert (found["boxes"] >= 0).all() and (found["boxes"] <= [80, 50, 80, 50]).all()
    assert list(engine.category_names(cfg).items())[0] == (0, "circle")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["train.max_iters=5"], "did you mean 'train.max_iter'"),
        (["train.max_iter=ten"], "train.max_iter must be a whole number of at least 1, not 'ten'"),
        (["train.prior=often"], 'train.prior must be "auto"'),
        (["train.device=tpu"], "train.device must be cuda"),
        (["train.checkpointer.period=-1"], "train.checkpointer.period must be a whole number"),
        (["train.amp.enabled=true", "train.amp.dtype=half"], "train.amp.dtype must be bf16 or fp16, not 'half'"),
        (["+optimizer.learning_rate=1"], "optimizer (torch.optim.sgd.SGD)"),
        (["dataloader.train.total_batch_size=0"], "dataloader.train.total_batch_size must be a whole number"),
        (["train.init_checkpoint=[3]"], "train.init_checkpoint must be null or the path of a checkpoint, not [3]"),
        (["train.init_checkpoint=nowhere.pth"], "there are no weights at nowhere.pth"),
        (["train.output_dir=/proc/none/run"], "output folder /proc/none/run cannot be written"),
        (["engine=sampling_free.torchvision.train.engine"], "this config's data are detectron2's"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(folder, capsys, overrides, words):
    assert words in failing(capsys, arguments(folder, *overrides))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("retinanet", "model.num_classes"),
        ("faster_rcnn", "model.roi_heads.num_classes"),
        ("atss", "model.head.num_classes"),
        ("yolov3", "model.head.num_classes"),
    ],
)
def test_another_number_of_classes_than_the_data_s_is_told_with_its_key(folder, capsys, name, key):
    said = failing(capsys, arguments(folder, f"{key}=3", config=f"{name}.py:shapes"))
    assert "has 5 categories (circle, square, triangle, star, cross), but the model was built" in said
    assert f"with {key}=3; set {key}=5" in said


def test_a_config_of_the_other_host_is_told(tmp_path, capsys):
    torchvisions = str(ROOT / "configs" / "torchvision" / "retinanet.py:shapes")
    said = failing(capsys, ["--config-file", torchvisions, "engine=sampling_free.detectron2.train.engine"])
    assert "this config's data are not detectron2's" in said and "configs/detectron2" in said


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_data_set_that_is_not_registered_is_told_with_the_nearest_name(folder, capsys, split):
    said = failing(capsys, with_names(folder, split, "coco_2017_trian"))
    assert f"dataloader.{split}.dataset: data set 'coco_2017_trian' is not registered" in said
    assert "did you mean 'coco_2017_train'" in said


def with_names(folder, split, names):
    """Arguments for a config that takes a data set by its registered name."""
    cfg = config.load(CONFIGS / "retinanet.py:shapes", arguments(folder)[2:])
    cfg.dataloader[split].dataset = L(get_detection_dataset_dicts)(names=names)
    cfg.dataloader.evaluator.dataset_name = "shapes_val"
    config.save(cfg, folder / "named.yaml")
    return ["--config-file", str(folder / "named.yaml")]


def test_an_evaluator_of_unregistered_data_is_told(folder, capsys):
    said = failing(capsys, arguments(folder, "dataloader.evaluator.dataset_name=shapes_vall"))
    assert "data set 'shapes_vall' is not registered with detectron2; did you mean 'shapes_val'" in said


def test_detectron2_s_own_data_that_are_not_there_are_told(folder, capsys):
    said = failing(capsys, with_names(folder, "train", "coco_2017_val"))
    assert "data set coco_2017_val is not there" in said and "DETECTRON2_DATASETS" in said


def test_weights_of_another_model_name_the_first_difference(run, folder, capsys):
    last = run / "run" / "checkpoints" / "last.pth"
    narrow = "model.head.conv_dims=[64,64]"
    said = failing(capsys, arguments(folder, f"train.init_checkpoint={last}", narrow, options=["--eval-only"]))
    assert "are of another model than the config's" in said and "use the config" in said
    said = failing(
        capsys,
        arguments(folder, f"train.init_checkpoint={last}", config="faster_rcnn.py:shapes", options=["--eval-only"]),
    )
    assert "proposal_generator" in said or "backbone" in said
    said = failing(capsys, arguments(run, narrow, options=["--resume"]))
    assert "last.pth" in said
    text = folder / "text.pth"
    text.write_text("no checkpoint")
    assert "is no checkpoint" in failing(capsys, arguments(folder, f"train.init_checkpoint={text}"))
    harmful = folder / "harmful.pkl"
    harmful.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert "would not be safe to load: it names os.system" in failing(
        capsys, arguments(folder, f"train.init_checkpoint={harmful}")
    )


def test_training_starts_from_a_model_with_other_classes_but_not_from_another_backbone(run, folder, capsys, caplog):
    caplog.set_level("INFO")
    other = weights(run)
    head = {name: value[:9] for name, value in other.items() if name.startswith("head.cls_score")}
    torch.save({"model": other | head}, folder / "one_class.pth")
    start = ["train.prior=null", "optimizer.lr=0", "train.max_iter=1", f"train.init_checkpoint={folder}/one_class.pth"]
    assert train_net().main(arguments(folder, *start)) == 0
    assert "so from random weights: head.cls_score" in caplog.text
    assert torch.equal(weights(folder)["backbone.fpn_lateral2.weight"], other["backbone.fpn_lateral2.weight"])
    torch.save({"model": {"backbone.fpn_lateral2.weight": torch.zeros(3, 3)}}, folder / "backbone.pth")
    said = failing(capsys, arguments(folder, f"train.init_checkpoint={folder}/backbone.pth"))
    assert "backbone.fpn_lateral2.weight is (3, 3), not (64, 64, 1, 1)" in said


def test_non_finite_loss_names_the_loss_and_its_images_and_keeps_the_last_good_checkpoint(folder, capsys):
    # the learning rate goes up in flames after two iterations
    argv = arguments(folder, "train.max_iter=20", "train.checkpointer.period=1", "train.prior=0.01")
    argv += ["optimizer.lr=1e-3", "lr_multiplier.schedulers.0.end_value=1e30"]
    said = failing(capsys, argv, status=3)
    result = json.loads((folder / "run" / "result.json").read_text())
    assert result["diverged"] and result["reason"] in said
    assert "diverged" in said and "iteration" in said and "last.pth is from before" in said
    assert all(value.isfinite().all() for value in weights(folder).values())
    argv = arguments(folder, "optimizer.lr=1e30", "train.max_iter=9", "train.checkpointer.period=0", "train.prior=0.01")
    said = failing(capsys, argv, status=3)
    assert "loss_" in said and "of images [" in said and "in iteration 2" in said


def test_a_failure_in_the_last_iteration_is_not_taken_for_success(folder, capsys):
    argv = arguments(folder, "optimizer.lr=1e30", "train.max_iter=2", "train.prior=0.01")
    assert "diverged" in failing(capsys, argv, status=3)
    assert not list((folder / "run").glob("checkpoints/*.pth"))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_image_is_named(folder, capsys, workers):
    for image in (folder / "data" / "train").glob("*.jpg"):
        corrupt(image)
    argv = arguments(folder, "train.prior=0.01", f"dataloader.train.num_workers={workers}")
    said = failing(capsys, argv)
    assert f"{folder}/data/train/" in said and len(said) < 400


def without_detectron2(run, code, **environment):
    """What train_net.py says of a saved config of this host, after some code ran."""
    program = f"{code}\nimport sys\nfrom train_net import main\nsys.exit(main(['--config-file', {str(run)!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_missing_detectron2_is_told(run):
    code = "import sys; sys.modules['detectron2'] = None"
    said = without_detectron2(run / "run" / "config.yaml", code)
    assert "needs detectron2" in said and "make setup-detectron2" in said
    said = without_detectron2(ROOT / "configs" / "detectron2" / "fcos.py:shapes", code)
    assert "needs detectron2" in said and "make setup-detectron2" in said


def test_another_version_of_detectron2_is_told(run, tmp_path):
    for package in ("", "utils"):
        (tmp_path / "detectron2" / package).mkdir(parents=True, exist_ok=True)
        (tmp_path / "detectron2" / package / "__init__.py").touch()
    (tmp_path / "detectron2" / "utils" / "events.py").touch()
    said = without_detectron2(run / "run" / "config.yaml", "", PYTHONPATH=str(tmp_path))
    assert "needs detectron2 as of commit 02b5c4e2" in said and "make setup-detectron2" in said
