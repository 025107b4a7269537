import ast
import re
from pathlib import Path

import pytest
import torch

from sampling_free import config
from sampling_free.errors import UserError
from sampling_free.mechanism import LossScaling
from sampling_free.torchvision import fit_prior
from sampling_free.torchvision.train.loading import train_loader

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs" / "torchvision"
SHAPES = "sampling_free.torchvision.train.datasets.Shapes"
FILES = sorted(CONFIGS.glob("*.py"))
VARIANTS = [f"{file.name}:{variant}" for file in FILES for variant in config.variants(file)]
PHOTOGRAPHS = [name for name in VARIANTS if name.startswith("photographs")]


def load(name, overrides=()):
    return config.load(CONFIGS / name, overrides)


def tiny(cfg, data):
    """The same config on four generated images of 64 px."""
    node = cfg.model
    classes = min(5, node.num_classes - 1)
    for split, name in (("train", "train"), ("test", "val")):
        masks = bool(cfg.dataloader[split].dataset.get("masks", False))
        settings = {"num_train": 4, "num_val": 2, "size": 64, "num_classes": classes}
        cfg.dataloader[split].dataset = {
            "_target_": SHAPES, "root": f"{data}{classes}", "split": name, "settings": settings, "masks": masks
        }  # fmt: skip
    if "weights_backbone" not in node:  # the photographs': weights from a package that need not be installed
        (node.get("pyramid") or node.stages).weights = None
        node.update(size=64, max_size=64)
        return cfg
    node.weights_backbone = None
    if "size" in node or "resnet10" in str(node.get("detector", node._target_)):
        node.size = 64
    else:
        node.update(min_size=64, max_size=128)
        if "rpn_post_nms_top_n_train" in node:
            node.rpn_post_nms_top_n_train = 50
    return cfg


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("configs") / "data"


def test_there_is_a_config_for_each_detector_and_data_set_in_both_forms():
    detectors = ["retinanet", "fcos", "faster_rcnn", "mask_rcnn", "atss", "paa", "foveabox", "yolov3"]
    rows = {(detector, data) for detector in detectors for data in ("shapes", "coco")}
    rows |= {(detector, "voc") for detector in ("retinanet", "fcos", "faster_rcnn")}
    assert {f"{d}.py:{data}{form}" for d, data in rows for form in ("", "_baseline")} <= set(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_config_trains_a_step(name, data):
    torch.manual_seed(0)
    cfg = tiny(load(name), data)
    dataset = config.instantiate(cfg.dataloader.train.dataset)
    model = config.instantiate(cfg.model, "model").train()
    call = config.plain(cfg.optimizer)
    call["params"]["model"] = model
    optimizer = config.instantiate(call, "optimizer")
    multiplier = config.instantiate(cfg.lr_multiplier, "lr_multiplier")
    if cfg.train.prior == "auto" and any(isinstance(module, LossScaling) for module in model.modules()):
        fit_prior(model, dataset)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}
    images, targets = next(iter(train_loader(dataset, total_batch_size=2, seed=1)))
    sum(model(images, targets).values()).backward()
    optimizer.step()
    moved = [name for name, weight in model.named_parameters() if not torch.equal(weight, before.get(name, weight))]
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    assert len(moved) > len(before) / 2
    values = [multiplier(i / 1000) for i in range(1000)]
    assert max(values) == pytest.approx(1) and values[0] < 1 and 0 < values[-1] <= 0.1 + 1e-9


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_config_says_what_its_variants_are_and_what_they_cost(file):
    words = ast.get_docstring(ast.parse(file.read_text()))
    assert re.search(r"[Mm]inutes?|GPUs?|hours?|cost", words), "no cost"
    if any(re.search(r"\| .*\d\d\.\d", line) for line in words.splitlines()):
        assert "theirs" in words
    named = set(re.findall(r"`(\w+?)`", words))
    families = [name for name in re.findall(r"`([\w.]+)`", words) if "..." in name]
    for variant, first_line in config.variants(file).items():
        assert first_line, f"{variant} says nothing of itself"
        family = any(variant.startswith(f[:-3]) if f.endswith("...") else variant.endswith(f[3:]) for f in families)
        assert variant in named or family or file.stem == "photographs", f"{variant} is not in the table"


def test_each_variant_writes_to_a_folder_that_has_its_name():
    for name in VARIANTS:
        file, _, variant = name.partition(".py:")
        assert load(name).train.output_dir == f"output/torchvision/{file}/{variant}"


@pytest.mark.parametrize("name", ["retinanet", "fcos", "faster_rcnn", "mask_rcnn"])
def test_sampling_free_and_baseline_differ_in_the_model_alone(name):
    ours, baseline = (config.plain(load(f"{name}.py:shapes{form}")) for form in ("", "_baseline"))
    model = ours["model"]
    model.pop("boundary_threshold", None)
    model["_target_"] = model.pop("detector")
    for cfg in (ours, baseline):
        del cfg["train"]["output_dir"]
    assert ours == baseline


@pytest.mark.parametrize(("name", "variable"), [("coco", "COCO_ROOT"), ("voc", "VOC_ROOT")])
def test_data_lie_where_the_environment_says(name, variable, monkeypatch):
    monkeypatch.setenv(variable, "/elsewhere")
    cfg = load(f"retinanet.py:{name}")
    assert cfg.dataloader.train.dataset.root == cfg.dataloader.test.dataset.root == "/elsewhere"
    cfg = load(f"retinanet.py:{name}", ["dataloader.train.dataset.root=/mine"])
    assert cfg.dataloader.train.dataset.root == "/mine"


@pytest.mark.parametrize(
    ("name", "variable"), [("blood_cells.py:retinanet", "BCCD_ROOT"), ("retinanet.py:voc", "VOC_ROOT")]
)
def test_data_that_are_not_there_name_the_variable_that_says_where(name, variable, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, str(tmp_path / "none"))
    said = f"no data set at {tmp_path}/none; set .* or the environment variable {variable},"
    with pytest.raises(UserError, match=said):
        config.instantiate(load(name).dataloader.train.dataset)


def test_schedule_of_the_papers():
    cfg = load("retinanet.py:coco")
    multiplier = config.instantiate(cfg.lr_multiplier)
    at = {0: 1 / 3, 250: 2 / 3, 500: 1, 59_999: 1, 60_000: 0.1, 79_999: 0.1, 80_000: 0.01, 89_999: 0.01}
    assert {i: multiplier(i / cfg.train.max_iter) for i in at} == pytest.approx(at, rel=1e-3)


@pytest.mark.parametrize("study", ["study.py", "cards.py", "background.py", "table1.py"])
def test_a_study_s_rows_are_variants_that_exist(study):
    from sampling_free.commands.study import Study

    rows = Study(ROOT / "projects" / "photographs" / study, ROOT).rows
    assert {row.config.removeprefix("configs/torchvision/") for row in rows} <= set(PHOTOGRAPHS)


def test_the_house_has_few_config_files_and_short_ways_between_them():
    files = [
        *ROOT.glob("configs/**/*.py"),
        *(file for file in ROOT.glob("projects/**/configs/**/*") if file.is_file()),
    ]
    assert len(files) <= 45
    for file in files:
        assert not re.search(r"^from \.\.\.\.", file.read_text(), re.MULTILINE), file
