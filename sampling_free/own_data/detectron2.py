"""The text of a config file for detectron2's detectors."""

import re
from pathlib import Path
from typing import Any

from sampling_free.own_data import parts
from sampling_free.own_data.choices import SMALL, Choices

_DENSE = ("atss", "paa", "foveabox", "yolov3")

_HEAD = """
import os

import detectron2.data.transforms as T
import torch
from detectron2.config import LazyCall as L
from detectron2.data import DatasetMapper, build_detection_test_loader, build_detection_train_loader
from detectron2.evaluation import COCOEvaluator
from detectron2.solver.build import get_default_optimizer_params
from fvcore.common.param_scheduler import CompositeParamScheduler, LinearParamScheduler, MultiStepParamScheduler

from sampling_free.detectron2 import SCALE_OVERRIDES, make_sampling_free, models
from sampling_free.detectron2.train.splits import coco_split
from sampling_free.mechanism import PerForeground

engine = "sampling_free.detectron2.train.engine"
_here = os.path.dirname(os.path.abspath(__file__))
_images = {root!r}


def _detector(**choices):
    return models.{builder}(
{arguments}        **choices,
    )


"""

_TAIL = """

def _split(name):
    annotations = os.path.join(_here, "data", f"{{name}}.json")
    return L(coco_split)(name=f"{name}_{{name}}", root=_images, images=".", annotations=annotations)


def _resized():
    return L(T.ResizeShortestEdge)(short_edge_length={size}, max_size={max_size})


dataloader = dict(
    train=L(build_detection_train_loader)(
        dataset=_split("train"),
        mapper=L(DatasetMapper)(
            is_train=True,
            augmentations=[_resized(), L(T.RandomFlip)(horizontal=True)],
            image_format="BGR",
            use_instance_mask={masks},
            instance_mask_format="bitmask",
        ),
        total_batch_size={batch},
        num_workers={workers},
    ),
    test=L(build_detection_test_loader)(
        dataset=_split("val"),
        mapper=L(DatasetMapper)(is_train=False, augmentations=[_resized()], image_format="BGR"),
        batch_size={batch},
        num_workers={workers},
    ),
    evaluator=L(COCOEvaluator)(dataset_name="${{..test.dataset.name}}"),
)
optimizer = L(torch.optim.SGD)(
    # a learned scale has no weight decay
    params=L(get_default_optimizer_params)(weight_decay_norm=0.0, overrides=SCALE_OVERRIDES),
    lr={lr!r},
    momentum=0.9,
    weight_decay=1e-4,
)
"""

_TRAIN = """
train = dict(
    output_dir=os.path.join(_here, "run"),
    init_checkpoint={weights!r},
    max_iter=_max_iter,
    eval_period=_epoch * max(1, _epochs // 4),
    checkpointer=dict(period=_epoch),
    log_period=10,
    device="cuda",  # the CPU where there is none
    amp=dict(enabled=False, dtype="fp16"),
    ddp=dict(broadcast_buffers=False, find_unused_parameters=False, fp16_compression=False),
    seed=0,
    clip_grad=5.0,
    prior="auto",
)
"""


def text(choices: Choices, root: Path, images: int, defaults: dict[str, Any]) -> str:
    """Everything below the docstring; arguments as `own_data.torchvision.text`, whose `defaults` are of no use here."""
    depth = None if choices.backbone == SMALL else int(choices.backbone.removeprefix("resnet"))
    arguments: dict[str, Any] = {"num_classes": choices.num_classes, "depth": depth}
    sizes = ("smallest", "anchor_scale", "anchors")
    arguments |= {name: choices.values[name] for name in sizes if name in choices.values}
    lines = "".join(f"        {name}={value!r},\n" for name, value in arguments.items())
    name = re.sub(r"[^A-Za-z0-9]+", "_", root.name) or "data"
    weights = f"detectron2://ImageNetPretrained/MSRA/R-{depth}.pkl" if depth else ""
    tail = {"size": choices.size, "max_size": choices.max_size, "batch": choices.batch, "workers": choices.workers}
    return (
        _HEAD.format(root=str(root), builder=choices.detector, arguments=lines)
        + _forms(choices)
        + _TAIL.format(name=name, masks=choices.detector == "mask_rcnn", lr=choices.lr, **tail)
        + parts.schedule(choices, images)
        + _TRAIN.format(weights=weights)
    )


def _forms(choices: Choices) -> str:
    """The detector sampling-free, and in its own form."""
    if choices.detector in _DENSE:
        return f"model = _detector()\n_own = _detector(**models.own_form({choices.detector!r}))\n"
    options = parts.TWO_STAGE.format(mapping="dict") if choices.two_stage else ""
    return f"model = make_sampling_free(\n    _detector(),\n{options})\n_own = _detector()\n"
