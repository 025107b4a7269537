"""What the README shows is run."""

import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torchvision.models import detection

import tests.detectron2  # noqa: F401 - imports detectron2 where its warnings do not count
from sampling_free import LearnedScaling
from sampling_free.commands.main import main
from sampling_free.data import generate_shapes
from sampling_free.data.shapes import ShapesSettings
from sampling_free.runs.launch import engine_of
from sampling_free.torchvision import make_sampling_free
from tests.torchvision import tiny

DETECTRON2 = "detectron2 is not installed: `make setup-detectron2`"
ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("projects/*/*.md")]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_the_lines_for_an_own_training_loop_train(monkeypatch):
    """As written, on a small model of random weights: nothing is downloaded in a test."""
    small = {"weights_backbone": None, "min_size": 64, "max_size": 96}
    for name in ("retinanet_resnet50_fpn", "fasterrcnn_resnet50_fpn"):
        monkeypatch.setattr(detection, name, partial(getattr(detection, name), **small))
    images, targets = tiny.batch()
    names = {"dataset": list(zip(images, targets, strict=True))}
    exec(blocks("README.md")[0], names)
    model, optimizer = names["model"], names["optimizer"]
    assert isinstance(model.head.scaling, LearnedScaling) and model.head.statistics.num_foreground > 0
    before = model.head.classification_head.cls_logits.weight.clone()
    losses = model.train()(images, targets)
    sum(losses.values()).backward()
    optimizer.step()
    assert not torch.equal(model.head.classification_head.cls_logits.weight, before)


def test_every_line_of_the_choices_runs():
    """Each line on a model of its own, for a model converts once."""
    names = {"make_sampling_free": make_sampling_free}
    models = {"model": tiny.retinanet, "faster_rcnn": tiny.faster_rcnn}
    for line in blocks("docs/train.md")[0].strip().splitlines():
        needed = {name: build() for name, build in models.items() if f"({name}," in line}
        exec(line, names | needed if needed else names)
    assert "LearnedScaling" in names and "BiasedSampling" in names


def lazy_nodes(*names):
    """Nodes of detectron2's own LazyConfigs by name."""
    from detectron2.model_zoo import get_config

    files = {"dataloader": "common/data/coco.py", "optimizer": "common/optim.py"}
    nodes = {name: get_config(files[name]) for name in names}
    return {name: node.get(name) or node.SGD for name, node in nodes.items()}


def test_the_lines_for_a_lazy_config_train():
    """As written, on a small RetinaNet beside detectron2's own data and optimiser."""
    pytest.importorskip("detectron2", reason=DETECTRON2)
    from detectron2.config import instantiate

    from tests.detectron2 import small

    names = {"model": small.retinanet()} | lazy_nodes("dataloader", "optimizer")
    exec(blocks("README.md")[1], names)
    assert names["dataloader"].train.dataset.filter_empty is False
    model = instantiate(names["model"])
    names["optimizer"].params.model = model
    optimizer = instantiate(names["optimizer"])
    (decay,) = (
        group["weight_decay"]
        for group in optimizer.param_groups
        if any(parameter is model.scaling.d for parameter in group["params"])
    )
    assert isinstance(model.scaling, LearnedScaling) and decay == 0
    before = model.head.cls_score.weight.clone()
    sum(model(small.batch()).values()).backward()
    optimizer.step()
    assert not torch.equal(model.head.cls_score.weight, before)
    assert callable(engine_of(DictConfig({"engine": names["engine"]})).train)


def test_the_lines_for_an_own_data_set_open_it(tmp_path, monkeypatch):
    """As written, on generated images in the place of the cells."""
    pytest.importorskip("detectron2", reason=DETECTRON2)
    from detectron2.config import LazyCall, instantiate
    from detectron2.data import DatasetCatalog, MetadataCatalog

    from sampling_free.detectron2.train import splits

    shapes = generate_shapes(tmp_path / "data" / "cells", ShapesSettings(num_train=3, num_val=1, size=64))
    (shapes / "train").rename(shapes / "images")
    (shapes / "annotations" / "instances_train.json").rename(shapes / "train.json")
    monkeypatch.chdir(tmp_path)
    names = {"L": LazyCall, "coco_split": splits.coco_split} | lazy_nodes("dataloader")
    exec(blocks("docs/detectron2.md")[0], names)
    records = instantiate(names["dataloader"].train.dataset)
    assert len(records) == 3 and all(Path(record["file_name"]).is_file() for record in records)
    assert DatasetCatalog.get("cells_train") == records
    DatasetCatalog.remove("cells_train")
    MetadataCatalog.remove("cells_train")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_configs_and_files_that_a_page_names_exist(page):
    text = page.read_text()
    for file, variant in re.findall(r"(configs/(?:torchvision|detectron2)/\w+\.py)(?::(\w+))?", text):
        assert (ROOT / file).is_file(), file
        assert not variant or f"def {variant}()" in (ROOT / file).read_text(), f"{file}:{variant}"
    for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", text):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_a_page_shows_take_the_options_that_it_gives(page, capsys):
    """Each `sampling-free` line is parsed by its own command; the other tests run them."""
    for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["sampling-free"] or len(words) < 2:
                continue
            with pytest.raises(SystemExit) as ended:
                main([words[1], "--help", *(["--config-file"] if "--config-file" in words else [])])
            assert ended.value.code == 0
            said = capsys.readouterr().out
            for option in (word.partition("=")[0] for word in words if word.startswith("--")):
                assert option in said, f"{page.name}: {line}"


def test_the_site_builds_without_a_broken_link():
    ended = subprocess.run([sys.executable, ROOT / "tools" / "build_docs.py"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 110
