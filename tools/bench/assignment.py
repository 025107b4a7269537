"""What label assignment costs: one 800 x 1333 image with 50 boxes, on one core."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sampling_free.detectors.atss import atss
from sampling_free.detectors.foveabox import foveabox
from sampling_free.detectors.maps import Maps, Predicted
from sampling_free.detectors.paa import paa
from sampling_free.detectors.yolov3 import yolov3
from tools.bench.measuring import Contestant, Goal, Race

# milliseconds that the project allows itself
_GOALS = {"ATSS": 30.0, "PAA": 150.0, "FoveaBox": 30.0, "YOLOv3": 30.0}

_SIZES = [(100, 168), (50, 84), (25, 42), (13, 21), (7, 11)]  # of 800 x 1344 px, strides 8 to 128
_CLASSES = 80


def races(*, quick: bool = False) -> list[Race]:
    """The four detectors that no host ships."""
    contestants = [Contestant(name, _on_one_core(call)) for name, call in assignment_cases().items()]
    return [Race("Label assignment at 800x1333, 50 boxes, one core", contestants, 3 if quick else 15)]


def goals(race: Race) -> list[Goal]:
    """In milliseconds, where the others are ratios."""
    return [
        Goal(f"{each.name}'s assignment, ms on one core", 1e3 * each.median, _GOALS[each.name])
        for each in race.contestants
    ]


def _on_one_core(call: Callable[[], Tensor]) -> Callable[[], None]:
    def alone() -> None:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            call()
        finally:
            torch.set_num_threads(threads)

    return alone


def assignment_cases(device: str = "cpu") -> dict[str, Callable[[], Tensor]]:
    """By detector, a call that assigns the anchors of one image and returns the matches `(R,)`; nothing is trained."""
    generator = torch.Generator().manual_seed(0)
    sizes = 20 + 300 * torch.rand(50, 2, generator=generator)
    corners = torch.rand(50, 2, generator=generator) * (torch.tensor([1333.0, 800.0]) - sizes)
    boxes = torch.cat([corners, corners + sizes], dim=1).to(device)
    classes = torch.randint(_CLASSES, (50,), generator=generator).to(device)
    cases: dict[str, Callable[[], Tensor]] = {}
    for name, builder in {"ATSS": atss, "PAA": paa, "FoveaBox": foveabox, "YOLOv3": yolov3}.items():
        detector = builder(_CLASSES).to(device)
        levels = _SIZES[: len(detector.anchors.strides)]
        anchors = detector.anchors(levels, torch.device(device))
        logits, deltas = (
            [torch.randn(1, anchors.per_place * width, *level, generator=generator).to(device) for level in levels]
            for width in (_CLASSES, 4)
        )
        maps = Maps([level - 4 for level in logits], [level / 10 for level in deltas], [])
        predicted = Predicted(maps, anchors, detector.coding, _CLASSES)
        cases[name] = partial(detector.assigner, anchors, boxes, classes, predicted)
    return cases
