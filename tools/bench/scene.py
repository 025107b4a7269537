"""What the training steps train on: one random image with boxes, and as many proposals as a trained network has."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tools.bench.measuring import DEVICE


@dataclass(frozen=True)
class Scene:
    """An image and its objects.

    Attributes:
        image: `(3, H, W)`, from 0 to 1.
        boxes: `(8, 4)`, XYXY in pixels.
        labels: `(8,)`, from 0 to 79.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor


def random_scene(height: int, width: int) -> Scene:
    """The same at each call."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, height, width, generator=generator)
    corners = torch.rand(8, 2, generator=generator) * torch.tensor([width * 0.7, height * 0.7])
    sides = 20 + torch.rand(8, 2, generator=generator) * 0.25 * min(height, width)
    boxes = torch.cat([corners, corners + sides], dim=1)
    labels = torch.randint(80, (8,), generator=generator)
    return Scene(image.to(DEVICE), boxes.to(DEVICE), labels.to(DEVICE))


def propose_anchors(box_regression: nn.Conv2d) -> None:
    """Let a region proposal network propose its anchors as they are, which leaves its box head the full number.

    Random weights would regress most anchors out of the image, and a box head without proposals costs nothing.
    """
    nn.init.zeros_(box_regression.weight)
    if box_regression.bias is not None:
        nn.init.zeros_(box_regression.bias)
