"""Transforms of (image, target) pairs, on torchvision's v2; resizing is the model's own affair."""

import torch
from torchvision.transforms import v2


def training(flip: float = 0.5) -> v2.Transform:
    """Float image in [0, 1], flipped left to right with probability `flip`."""
    return v2.Compose([v2.RandomHorizontalFlip(flip), *_float()])


def evaluation() -> v2.Transform:
    """Float image in [0, 1], otherwise as it is."""
    return v2.Compose(_float())


def _float() -> list[v2.Transform]:
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
