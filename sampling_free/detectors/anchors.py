"""Where a dense detector predicts: boxes on a grid. Letters: L levels, A anchors per place, R anchors of an image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Anchors:
    """The anchors of one image, or some of them.

    Attributes:
        boxes: `(R, 4)`, XYXY in pixels, in `(H, W, A)` order, level after level.
        strides: `(R,)`, pixels from a place to the next one.
        counts: anchors of each level; empty for a selection.
        per_place: A, of every level.
        extent: width and height in pixels of what the first level covers, which is the padded image.
    """

    boxes: Tensor
    strides: Tensor
    counts: tuple[int, ...]
    per_place: int
    extent: tuple[int, int]

    def at(self, index: Tensor) -> "Anchors":
        """The selection at an index tensor."""
        return Anchors(self.boxes[index], self.strides[index], (), self.per_place, self.extent)

    @property
    def centers(self) -> Tensor:
        """`(R, 2)`."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    @property
    def sizes(self) -> Tensor:
        """`(R, 2)`: widths and heights."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    @property
    def levels(self) -> Tensor:
        """`(R,)`: the level of each anchor."""
        return torch.arange(len(self.counts), device=self.boxes.device).repeat_interleave(
            torch.tensor(self.counts, device=self.boxes.device), output_size=sum(self.counts)
        )


class AnchorGrid(nn.Module):
    """Anchors of fixed sizes around the middle of each cell: centres at (i + 1/2) stride.

    Args:
        strides: of the L levels, in pixels.
        sizes: per level the A anchors' (width, height) in pixels.
    """

    def __init__(self, strides: Sequence[int], sizes: Sequence[Sequence[tuple[float, float]]]) -> None:
        super().__init__()
        if len(strides) != len(sizes):
            raise ValueError(f"{len(strides)} strides but sizes for {len(sizes)} levels")
        if len({len(level) for level in sizes}) != 1:
            raise ValueError(f"every level needs as many anchors as the others, not {[len(level) for level in sizes]}")
        self.strides = [int(stride) for stride in strides]
        self.sizes = [[(float(width), float(height)) for width, height in level] for level in sizes]

    @classmethod
    def squares(cls, strides: Sequence[int], scale: float) -> "AnchorGrid":
        """One square anchor a place, `scale` strides wide."""
        return cls(strides, [[(scale * stride, scale * stride)] for stride in strides])

    @property
    def num_anchors(self) -> int:
        """A."""
        return len(self.sizes[0])

    def forward(self, maps: Sequence[tuple[int, int]], device: torch.device | None = None) -> Anchors:
        """Anchors for feature maps of these (height, width), on a device."""
        if len(maps) != len(self.strides):
            raise ValueError(f"{len(maps)} feature maps, but the anchors are for strides {self.strides}")
        boxes, strides = [], []
        for (height, width), stride, sizes in zip(maps, self.strides, self.sizes, strict=True):
            x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) * stride
            y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) * stride
            centers = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[:, :, None]
            half = torch.tensor(sizes, device=device) / 2
            boxes.append(torch.cat([centers - half, centers + half], dim=-1).reshape(-1, 4))
            strides.append(torch.full((len(boxes[-1]),), float(stride), device=device))
        (height, width), stride = maps[0], self.strides[0]
        counts = tuple(len(level) for level in boxes)
        return Anchors(
            torch.cat(boxes), torch.cat(strides), counts, self.num_anchors, (width * stride, height * stride)
        )

    def extra_repr(self) -> str:
        """Strides and sizes."""
        return f"strides={self.strides}, sizes={self.sizes}"
