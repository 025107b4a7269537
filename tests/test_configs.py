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
SHAPES = "sampling_free.torchvision.train.datasets.Shapes"


def is_for_torchvision(file):
    """Whether a file is a config of this host, not a base for others (no model) nor one for detectron2.

    A file that does not load for another reason counts, so that its test fails.
    """
    if not re.search(r"^(from .*|)\bmodel\b", file.read_text(), re.MULTILINE):
        return False
    try:
        return config.load(file).engine == "sampling_free.torchvision.train.engine"
    except UserError as error:
        return "make setup-detectron2" not in str(error)


PHOTOGRAPHS = ROOT / "configs" / "torchvision" / "photographs.py"  # holds many configs
FILES = [*ROOT.glob("configs/torchvision/**/*.py"), *ROOT.glob("projects/*/configs/**/*.py")]
FILES.remove(PHOTOGRAPHS)
FILES = sorted(file for file in FILES if is_for_torchvision(file))


def name_of(file):
    return str(file.relative_to(ROOT))


def detector_node(cfg):
    """The node of torchvision's model, below the one that makes it sampling-free."""
    return cfg.model.model if "model" in cfg.model else cfg.model


def tiny(cfg, data):
    """The same config on four generated images of 64 px."""
    node = detector_node(cfg)
    classes = min(5, node.num_classes - 1)
    for split, name in (("train", "train"), ("test", "val")):
        masks = bool(cfg.dataloader[split].dataset.get("masks", False))
        settings = {"num_train": 4, "num_val": 2, "size": 64, "num_classes": classes}
        cfg.dataloader[split].dataset = {
            "_target_": SHAPES, "root": f"{data}{classes}", "split": name, "settings": settings, "masks": masks
        }  # fmt: skip
    node.weights_backbone = None
    if "size" in node or "resnet10" in str(node._target_):
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
    found = {file.stem for file in FILES if file.parent.name == "torchvision"}
    pairs = {(d, s) for d in ("retinanet", "fcos", "faster_rcnn", "mask_rcnn") for s in ("shapes", "coco", "voc")}
    pairs -= {("mask_rcnn", "voc")}  # VOC has no masks for most of its images
    assert found >= {f"{d}_{s}{form}" for d, s in pairs for form in ("", "_baseline")}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_config_trains_a_step(file, data):
    torch.manual_seed(0)
    cfg = tiny(
        config.load(file, required=("engine", "model", "dataloader", "optimizer", "lr_multiplier", "train")), data
    )
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


@pytest.mark.parametrize("file", [file for file in FILES if "projects" not in file.parts], ids=name_of)
def test_config_says_what_it_is_how_to_run_it_and_what_it_costs(file):
    words = ast.get_docstring(ast.parse(file.read_text()))
    command = next(line for line in words.splitlines() if line.startswith("python "))
    assert name_of(file) in command
    assert re.search(r"minutes?|GPUs?|hours?", words.split(command)[1]), "no cost"
    figures = re.findall(r"\d\d\.\d (?:AP|mAP|box)", words)
    assert not figures or "theirs" in words


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_config_is_short(file):
    tree = ast.parse(file.read_text())
    body = tree.body[1:]  # without the docstring
    assert ast.get_docstring(tree) and sum(node.end_lineno - node.lineno + 1 for node in body) <= 25


def test_each_config_writes_to_a_folder_of_its_own():
    outputs = [config.load(file).train.output_dir for file in FILES]
    assert len(set(outputs)) == len(outputs)


def test_no_two_configs_say_the_same():
    bodies = [ast.dump(ast.Module(ast.parse(file.read_text()).body[1:], [])) for file in FILES]
    assert len(set(bodies)) == len(bodies)


@pytest.mark.parametrize("name", ["retinanet", "fcos", "faster_rcnn", "mask_rcnn"])
def test_sampling_free_and_baseline_differ_in_the_model_alone(name):
    ours, baseline = (
        config.load(ROOT / "configs" / "torchvision" / f"{name}_shapes{form}.py") for form in ("", "_baseline")
    )
    assert config.plain(ours.model.model) == config.plain(baseline.model)
    for cfg in (ours, baseline):
        del cfg["model"]
        del cfg.train["output_dir"]
    assert config.plain(ours) == config.plain(baseline)


@pytest.mark.parametrize(("name", "variable"), [("retinanet_coco", "COCO_ROOT"), ("retinanet_voc", "VOC_ROOT")])
def test_data_lie_where_the_environment_says(name, variable, monkeypatch):
    monkeypatch.setenv(variable, "/elsewhere")
    cfg = config.load(ROOT / "configs" / "torchvision" / f"{name}.py")
    assert cfg.dataloader.train.dataset.root == cfg.dataloader.test.dataset.root == "/elsewhere"
    cfg = config.load(ROOT / "configs" / "torchvision" / f"{name}.py", ["dataloader.train.dataset.root=/mine"])
    assert cfg.dataloader.train.dataset.root == "/mine"


def test_schedule_of_the_papers():
    cfg = config.load(ROOT / "configs" / "torchvision" / "retinanet_coco.py")
    multiplier = config.instantiate(cfg.lr_multiplier)
    at = {0: 1 / 3, 250: 2 / 3, 500: 1, 59_999: 1, 60_000: 0.1, 79_999: 0.1, 80_000: 0.01, 89_999: 0.01}
    assert {i: multiplier(i / cfg.train.max_iter) for i in at} == pytest.approx(at, rel=1e-3)


@pytest.mark.parametrize("variant", config.variants(PHOTOGRAPHS))
def test_every_variant_of_the_photographs_is_built(variant):
    """Without the pretrained weights, which a package brings that need not be installed."""
    cfg = config.load(f"{PHOTOGRAPHS}:{variant}")
    assert cfg.train.output_dir == f"output/torchvision/photographs/{variant}"
    model = cfg.model.get("model", cfg.model)
    backbone = model.get("pyramid") or model.stages
    backbone.weights = None
    built = config.instantiate(cfg.model, "model")
    built.eval()([torch.zeros(3, 64, 96)])


def test_a_study_s_rows_are_variants_that_exist():
    from sampling_free.commands.study import Study

    study = Study(ROOT / "projects" / "photographs" / "study.py", ROOT)
    known = config.variants(PHOTOGRAPHS)
    assert all(row.config.rpartition(":")[2] in known for row in study.rows)
