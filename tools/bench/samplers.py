"""Choosing examples at COCO's size: an image's anchors, then the proposals of a batch of four; and box losses."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sampling_free.boxes import best_overlap
from sampling_free.heuristics import GHMR, ISR, BiasedSampling, IoUBalancedSampling, OnlineHardExamples
from sampling_free.mechanism import AllExamples, Evidence, ExampleChoice, Predictions
from tools.bench.measuring import DEVICE, Contestant, Race


def races(*, quick: bool = False) -> list[Race]:
    """A region proposal network's anchors at 800 x 1333, the proposals of four images, the foreground's boxes."""
    scale, rounds = (64, 3) if quick else (1, 15)
    torch.manual_seed(0)
    anchors: list[ExampleChoice] = [
        BiasedSampling(256, 0.5),
        OnlineHardExamples(256, 0.5),
        IoUBalancedSampling(256, 0.5, iou_range=(0, 0.3)),
        AllExamples(),
    ]
    proposals: list[ExampleChoice] = [
        BiasedSampling(512, 0.25),
        OnlineHardExamples(512, 0.25),
        IoUBalancedSampling(512, 0.25),
        ISR(512, 0.25),
        AllExamples(),
    ]
    return [
        _race("Choosing anchors", anchors, images=1, number=268_569 // scale, num_classes=1, rounds=rounds),
        _race("Choosing proposals", proposals, images=4, number=2000 // scale, num_classes=80, rounds=rounds),
        _box_losses(1000 // scale, rounds),
    ]


def _race(title: str, choices: list[ExampleChoice], *, images: int, number: int, num_classes: int, rounds: int) -> Race:
    """The forward pass of the head, which OHEM and ISR need besides, is not in it."""
    batch = [_image(number, num_classes) for _ in range(images)]

    def choose(choice: ExampleChoice) -> Callable[[], None]:
        def call() -> None:
            for labels, evidence in batch:
                choice(labels, num_classes, evidence())

        return call

    title = f"{title}: {images} x {number:,}, without the head's own forward pass"
    return Race(title, [Contestant(f"`{type(choice).__name__}`", choose(choice)) for choice in choices], rounds)


def _image(number: int, num_classes: int) -> tuple[Tensor, Callable[[], Evidence]]:
    """Labels `(number,)` with 1 % of foreground, and what makes their evidence, nothing of it computed before."""
    labels = torch.full((number,), num_classes, device=DEVICE)
    labels[: max(1, number // 100)] = 0
    corners = 1000 * torch.rand(number, 2, device=DEVICE)
    boxes = torch.cat([corners, corners + 20 + 300 * torch.rand(number, 2, device=DEVICE)], dim=1)
    logits = torch.randn(number, device=DEVICE) - 2

    def predict() -> Predictions:
        losses = F.binary_cross_entropy_with_logits(logits, (labels < num_classes).float(), reduction="none")
        return Predictions(losses, logits.sigmoid(), boxes)

    return labels, lambda: Evidence(predict, lambda: best_overlap(boxes, boxes[:8]))


def _box_losses(number: int, rounds: int) -> Race:
    deltas, targets = 0.1 * torch.randn(number, 4, device=DEVICE), torch.zeros(number, 4, device=DEVICE)
    deltas.requires_grad_()
    harmonised = GHMR().to(DEVICE)
    contestants = [
        Contestant("L1", lambda: F.l1_loss(deltas, targets, reduction="sum").backward()),
        Contestant("`GHMR`", lambda: harmonised(deltas, targets).backward()),
    ]
    return Race(f"Box loss, forward and backward: {number:,} foreground anchors", contestants, rounds)
