import copy
import csv
import json
import math
import socket

import numpy as np
import pytest
import torch
import yaml

from sampling_free import config
from sampling_free.data import generate_shapes
from sampling_free.data.shapes import ShapesSettings
from sampling_free.torchvision import make_sampling_free
from sampling_free.torchvision.train import engine
from sampling_free.torchvision.train.callbacks import AtomicCheckpointIO
from sampling_free.torchvision.train.training import computing_losses
from tests.torchvision import tiny
from tests.torchvision.runs import CONFIGS, SETTINGS, arguments, start

pytestmark = pytest.mark.filterwarnings("default")  # Lightning's own warnings are not what is tested


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder whose `data` all tests share; each run has a folder of its own beside it."""
    folder = tmp_path_factory.mktemp("engine")
    generate_shapes(folder / "data", ShapesSettings(**yaml.safe_load(SETTINGS)))
    return folder


def tiny_config(data, run, *overrides, name="retinanet.py:shapes"):
    values = arguments(data, f"train.output_dir={data / run}", *overrides, config=name)[2:]
    return config.load(CONFIGS / name, values)


def trained(data, run, *overrides, resume=False, name="retinanet.py:shapes"):
    engine.train(tiny_config(data, run, *overrides, name=name), resume=resume)
    return torch.load(data / run / "checkpoints" / "last.ckpt", weights_only=True)


def rows(data, run):
    return list(csv.DictReader((data / run / "metrics.csv").read_text().splitlines()))


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("retinanet.py:shapes", ["train.accumulate=2", "train.clip_grad=0.5", "+model.score_thresh=2.0"]),
        ("faster_rcnn.py:shapes_baseline", ["+model.box_score_thresh=2.0"]),  # biased sampling draws at random
        ("atss.py:shapes", ["+model.score_threshold=2.0"]),
    ],
)
def test_stopped_and_resumed_equals_not_stopped(data, name, overrides):
    overrides = ["train.max_iter=5", "train.eval_period=1", "train.prior=null", *overrides]
    whole = trained(data, f"whole-{name}", *overrides, name=name)
    # without detections AP stays 0, so patience ends the run at its second evaluation
    stopped = trained(data, f"cut-{name}", "train.patience=1", *overrides, name=name)
    assert (stopped["global_step"], whole["global_step"]) == (2, 5)
    resumed = trained(data, f"cut-{name}", *overrides, resume=True, name=name)
    assert equal(whole["state_dict"], resumed["state_dict"])
    assert not equal(whole["state_dict"], stopped["state_dict"])
    assert rows(data, f"whole-{name}") == rows(data, f"cut-{name}")


def test_accumulated_batches_make_one_iteration(data):
    checkpoint = trained(
        data, "accumulate", "train.accumulate=3", "train.max_iter=4", "train.eval_period=2", "train.checkpoint_period=3"
    )
    assert checkpoint["global_step"] == 4
    table = rows(data, "accumulate")
    assert [row["step"] for row in table] == ["1", "2", "3", "4"]
    assert [row["step"] for row in table if row["bbox/AP"]] == ["2", "4"]


def test_learning_rate_follows_the_schedule_in_every_iteration(data):
    trained(data, "rates", "train.max_iter=6", "train.eval_period=0", "optimizer.lr=0.02", "train.prior=0.01")
    multiplier = config.instantiate(tiny_config(data, "rates").lr_multiplier)
    expected = [0.02 * multiplier(iteration / 6) for iteration in range(6)]
    assert [float(row["lr"]) for row in rows(data, "rates")] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("prior", [0.02, None])
def test_prior_sets_the_bias_before_training_and_only_then(data, prior):
    torch.manual_seed(0)
    overrides = ["optimizer.lr=0", f"train.prior={'null' if prior is None else prior}", "train.max_iter=1"]
    checkpoint = trained(data, f"prior{prior}", *overrides)
    (name,) = [name for name in checkpoint["state_dict"] if name.endswith("cls_logits.bias")]
    expected = -math.log(1 / (prior or 0.01) - 1)  # torchvision's own start is 0.01
    assert checkpoint["state_dict"][name].tolist() == pytest.approx([expected] * 54, rel=1e-5)


def test_auto_prior_comes_from_the_data_and_stays_with_the_weights(data, caplog):
    caplog.set_level("INFO")
    cfg = tiny_config(data, "auto", "train.max_iter=1")
    engine.train(cfg)
    assert "Foreground: " in caplog.text
    model = engine.load_model(cfg, data / "auto" / "checkpoints" / "last.ckpt")
    statistics = model.head.statistics
    assert statistics.num_foreground > 0
    assert float(model.score_thresh) == pytest.approx(float(statistics.score_threshold))


def test_initial_weights_are_those_of_the_checkpoint(data):
    first = trained(data, "first", "train.max_iter=2")
    weights = data / "first" / "checkpoints" / "last.ckpt"
    overrides = [f"train.init_checkpoint={weights}", "optimizer.lr=0", "train.max_iter=1", "train.prior=null"]
    second = trained(data, "second", *overrides)
    parameters = [name for name in first["state_dict"] if name.endswith(("weight", "bias"))]
    assert all(torch.equal(first["state_dict"][name], second["state_dict"][name]) for name in parameters)


def test_clipping_limits_the_step(data):
    still = ["optimizer.params.weight_decay=0", "train.max_iter=1", "train.prior=0.01", "optimizer.momentum=0"]
    still += ["optimizer.lr=1", "lr_multiplier.schedulers.0.start_value=1"]
    start_weights = trained(data, "noclip0", *still, "optimizer.lr=0")["state_dict"]
    clipped = trained(data, "clip", *still, "train.clip_grad=1e-3")["state_dict"]
    names = [name for name in clipped if name.endswith((".weight", ".bias"))]
    step = torch.cat([(clipped[name] - start_weights[name]).flatten() for name in names]).norm()
    assert 5e-4 < step < 1.1e-3


def test_bf16(data):
    trained(data, "bf16", "train.precision=bf16-mixed", "train.max_iter=2")
    assert all(math.isfinite(float(row["total_loss"])) for row in rows(data, "bf16"))


@pytest.mark.parametrize("name", ["retinanet.py:shapes", "faster_rcnn.py:shapes"])
def test_shares_of_the_gradient_are_logged_where_the_log_has_a_row(data, name):
    options = ["train.gradient_shares=true", "train.precision=bf16-mixed", "train.log_period=2", "train.max_iter=4"]
    trained(data, f"shares-{name}", *options, name=name)
    columns = {"retinanet.py:shapes": ["foreground", "classification"]}
    found = [
        [row[f"gradient/{c}"] for c in columns.get(name, ["rpn/classification", "roi_heads/classification"])]
        for row in rows(data, f"shares-{name}")
        if row["total_loss"]
    ]
    assert len(found) == 2 and all(0 < float(value) < 1 for values in found for value in values)


def test_validation_loss_is_logged(data):
    trained(data, "validation", "train.validation_loss=true", "train.max_iter=1")
    assert float(rows(data, "validation")[-1]["validation_loss"]) > 0


@pytest.mark.parametrize("builder", [tiny.retinanet, tiny.fcos, tiny.faster_rcnn, tiny.mask_rcnn])
@pytest.mark.parametrize("free", [False, True])
def test_losses_of_evaluation_images_change_nothing(builder, free):
    model = tiny.seeded(builder)
    model = make_sampling_free(model) if free else model
    images, targets = tiny.batch()
    expected = set(model.train()(images, targets))
    model.eval()
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad(), computing_losses(model):
        losses = model(images, targets)
    assert set(losses) == expected and all(loss.isfinite() for loss in losses.values())
    assert equal(before, model.state_dict())
    assert not any(module.training for module in model.modules())
    assert isinstance(model(images), list)


def test_prediction_is_plain_arrays_on_the_images_pixels(data):
    trained(data, "predict", "train.max_iter=1")
    cfg = tiny_config(data, "predict")
    model = engine.load_model(cfg, data / "predict" / "checkpoints" / "last.ckpt")
    assert not model.training
    image = np.random.default_rng(0).integers(0, 255, (50, 80, 3), dtype=np.uint8)
    found = engine.predict(model, image)
    assert set(found) == {"boxes", "scores", "labels"} and len(found["boxes"]) == len(found["scores"])
    assert all(isinstance(value, np.ndarray) for value in found.values())
    assert set(engine.category_names(cfg)) == {1, 2, 3, 4, 5}


def test_a_write_that_fails_leaves_the_former_file(tmp_path):
    store, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    store.save_checkpoint({"step": torch.tensor(1)}, path)
    with pytest.raises(AttributeError):
        store.save_checkpoint({"step": torch.tensor(2), "unsavable": lambda: 0}, path)
    assert torch.load(path, weights_only=True) == {"step": torch.tensor(1)}


def test_two_processes_share_the_batch_and_speak_once(data, tmp_path):
    (tmp_path / "data").symlink_to(data / "data")
    process = start(arguments(tmp_path, "train.prior=0.01", options=["--num-gpus", "2"]))
    out, said = process.communicate()
    assert process.returncode == 0, said
    assert len([line for line in out.splitlines() if line.startswith("bbox/AP ")]) == 1
    assert json.loads((tmp_path / "run" / "result.json").read_text())["iterations"] == 2
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 3


def test_two_machines_train_one_model(data, tmp_path):
    """Two real launches that know of each other by --dist-url alone: the shares of one batch, the same weights."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    processes = []
    for rank in range(2):
        folder = tmp_path / str(rank)
        folder.mkdir()
        (folder / "data").symlink_to(data / "data")
        options = ["--num-machines", "2", "--machine-rank", str(rank), "--dist-url", address]
        processes.append(start(arguments(folder, "train.prior=0.01", "train.max_iter=1", options=options)))
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    result = json.loads((tmp_path / "0" / "run" / "result.json").read_text())
    assert result["iterations"] == 1 and not (tmp_path / "1" / "run" / "result.json").exists()
