"""The text of a config file for torchvision's detectors."""

from pathlib import Path
from typing import Any

from sampling_free.own_data import parts
from sampling_free.own_data.choices import PRETRAINED, SMALL, Choices

_DENSE = ("atss", "paa", "foveabox")

_HEAD = """
import os

import torch
from fvcore.common.param_scheduler import CompositeParamScheduler, LinearParamScheduler, MultiStepParamScheduler

from sampling_free import detectors
from sampling_free.config import LazyCall as L
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling, PerForeground, parameter_groups
from sampling_free.torchvision import make_sampling_free, models
from sampling_free.torchvision.backbones import EFFICIENTNET_LITE0, TimmPyramid, TimmStages
from sampling_free.torchvision.train import transforms
from sampling_free.torchvision.train.datasets import CocoDetection

engine = "sampling_free.torchvision.train.engine"
_here = os.path.dirname(os.path.abspath(__file__))
_images = {root!r}


def _detector(**choices):
    return L(models.{builder})(
{arguments}        **choices,
    )


"""

_TAIL = """

def _split(name, transform):
    annotations = os.path.join(_here, "data", f"{{name}}.json")
    return L(CocoDetection)(
        root=_images, images=".", annotations=annotations, transforms=transform, masks={masks}
    )


dataloader = dict(
    train=dict(
        dataset=_split("train", L(transforms.training)()), total_batch_size={batch}, num_workers={workers}
    ),
    test=dict(
        dataset=_split("val", L(transforms.evaluation)()), batch_size={batch}, num_workers={workers}, masks={masks}
    ),
)
optimizer = L(torch.optim.SGD)(params=L(parameter_groups)(model=None, weight_decay=1e-4), lr={lr!r}, momentum=0.9)
"""


def text(choices: Choices, root: Path, images: int, defaults: dict[str, Any]) -> str:
    """Everything below the docstring.

    Args:
        choices: for the data set.
        root: folder of the images.
        images: to train on.
        defaults: of `train`.
    """
    builder, arguments = _builder(choices)
    lines = "".join(f"        {name}={value},\n" for name, value in arguments.items())
    masks = choices.detector == "mask_rcnn"
    train = defaults | {"eval_period": 0, "checkpoint_period": 0, "log_period": 10, "clip_grad": 5.0}
    for name in ("output_dir", "max_iter"):
        train.pop(name, None)
    return (
        _HEAD.format(root=str(root), builder=builder, arguments=lines)
        + _forms(choices)
        + _TAIL.format(masks=masks, batch=choices.batch, workers=choices.workers, lr=choices.lr)
        + parts.schedule(choices, images)
        + 'train = dict(\n    output_dir=os.path.join(_here, "run"),\n    max_iter=_max_iter,\n'
        + parts.assignments(train)
        + ")\ntrain.update(eval_period=_epoch * max(1, _epochs // 4), checkpoint_period=_epoch)\n"
    )


def _builder(choices: Choices) -> tuple[str, dict[str, str]]:
    """The function of `torchvision.models` that builds the detector, and its arguments as text."""
    arguments: dict[str, str] = {}
    if choices.detector == "yolov3":
        builder = "small_yolov3"
        levels = [4, 8, 16] if choices.backbone == SMALL else [8, 16, 32]
        arguments |= {"stages": _stages(choices, levels), "strides": str(levels), "anchors": str(choices.anchors)}
    else:
        builder = "small_" + ("dense" if choices.detector in _DENSE else choices.detector.replace("_", ""))
        arguments["pyramid"] = _pyramid(choices)
    if choices.detector in _DENSE:
        strides = [choices.finest * 2**level for level in range(5)]
        arguments |= {"detector": f"detectors.{choices.detector}", "strides": str(strides)}
        if choices.detector == "foveabox":
            arguments["spread"] = "None"  # its towers have no normalisation
        else:
            arguments["anchor_scale"] = str(choices.anchor_scale)
    if "smallest" in choices.values:
        arguments["smallest"] = str(choices.smallest)
    if choices.two_stage:
        arguments |= {"rpn_post_nms_top_n_train": "500", "box_batch_size_per_image": "128"}
    arguments |= {"num_classes": f"{choices.num_classes + 1}"}  # torchvision counts the background
    arguments |= {"size": f"{choices.size}", "max_size": f"{choices.max_size}"}
    if choices.backbone == PRETRAINED:  # as that backbone was trained
        arguments |= {"image_mean": "[0.5] * 3", "image_std": "[0.5] * 3"}
    return builder, arguments


def _pyramid(choices: Choices) -> str:
    if choices.backbone == SMALL:
        return f"L(models.small_pyramid)(two_stage={choices.two_stage})"
    strides, extra = ([4, 8, 16, 32], "pool") if choices.two_stage else ([8, 16, 32], "p6p7")
    parts_of_it = {"name": repr(choices.backbone), "strides": strides, "width": _width(choices), "extra": repr(extra)}
    parts_of_it["weights"] = _weights(choices)
    lines = "".join(f"            {name}={value},\n" for name, value in parts_of_it.items())
    return f"L(TimmPyramid)(\n{lines}        )"


def _stages(choices: Choices, strides: list[int]) -> str:
    if choices.backbone == SMALL:
        return "L(models.small_stages)()"
    return f"L(TimmStages)(name={choices.backbone!r}, strides={strides}, weights={_weights(choices)})"


def _width(choices: Choices) -> int:
    return 64 if choices.backbone == PRETRAINED else 256


def _weights(choices: Choices) -> str:
    return "EFFICIENTNET_LITE0" if choices.backbone == PRETRAINED else "None"


def _forms(choices: Choices) -> str:
    """The detector sampling-free, and in its own form."""
    if choices.detector in _DENSE:
        loss = "alpha=0.4, gamma=1.5" if choices.detector == "foveabox" else ""
        own = f"classification_loss=L(FocalLoss)({loss}), scaling=L(ConstantScaling)()"
        return f"model = _detector()\n_own = _detector({own})\n"
    if choices.detector == "yolov3":
        own = "quality=L(detectors.Objectness)(), scaling=L(ConstantScaling)()"
        return f"model = _detector()\n_own = _detector({own})\n"
    options = parts.TWO_STAGE.format(mapping='L("builtins.dict")') if choices.two_stage else ""
    return f"model = L(make_sampling_free)(\n    model=_detector(),\n{options})\n_own = _detector()\n"
