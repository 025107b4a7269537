"""What the README shows is run."""

import re
from functools import partial
from pathlib import Path

import torch
from torchvision.models import detection

from sampling_free import LearnedScaling
from sampling_free.torchvision import make_sampling_free
from tests.torchvision import tiny

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks():
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_lines_for_an_own_training_loop_train(monkeypatch):
    """As written, on a small model of random weights: nothing is downloaded in a test."""
    small = {"weights_backbone": None, "min_size": 64, "max_size": 96}
    for name in ("retinanet_resnet50_fpn", "fasterrcnn_resnet50_fpn"):
        monkeypatch.setattr(detection, name, partial(getattr(detection, name), **small))
    images, targets = tiny.batch()
    names = {"dataset": list(zip(images, targets, strict=True))}
    exec(blocks()[0], names)
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
    for line in blocks()[1].strip().splitlines():
        needed = {name: build() for name, build in models.items() if f"({name}," in line}
        exec(line, names | needed if needed else names)
    assert "LearnedScaling" in names and "BiasedSampling" in names
