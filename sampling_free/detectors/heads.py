"""The head that ATSS, PAA and FoveaBox share: two towers of convolutions over every level of a pyramid.

Letters: N images, L levels, A anchors per place, C classes.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import DeformConv2d

from sampling_free.detectors.maps import Maps
from sampling_free.mechanism import bias_of_prior

INITIAL_PRIOR = 0.01  # of the classifiers until a prior is set, as in RetinaNet

Layer = Callable[..., nn.Module]


def group_norm(channels: int) -> nn.Module:
    """GroupNorm of 32 groups, as in FCOS and ATSS; of fewer where there are fewer channels."""
    return nn.GroupNorm(min(32, channels // 2), channels)


class DeformableConv(nn.Module):
    """Modulated deformable 3x3 convolution (DCNv2) that predicts its own offsets; 0 at first, so it starts plain.

    Args:
        channels: in and out.
        bias: of the convolution.
    """

    def __init__(self, channels: int, out_channels: int, kernel_size: int = 3, padding: int = 1, bias: bool = True):  # noqa: FBT001 - Conv2d's own signature
        super().__init__()
        places = kernel_size * kernel_size
        self.offset = nn.Conv2d(channels, 3 * places, kernel_size, padding=padding)
        self.conv = DeformConv2d(channels, out_channels, kernel_size, padding=padding, bias=bias)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """`(N, channels, H, W)` to `(N, out_channels, H, W)`."""
        shift_y, shift_x, mask = self.offset(x).chunk(3, dim=1)
        return self.conv(x, torch.stack([shift_y, shift_x], dim=2).flatten(1, 2), mask.sigmoid())


class Scale(nn.Module):
    """A learned factor, 1 at first; each level of a pyramid has its own (FCOS)."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """`x` times the factor."""
        return x * self.factor


class TowerHead(nn.Module):
    """Towers for classes and boxes, the same for all levels; the quality is read off the tower of boxes.

    Args:
        channels: of the feature maps and of the towers.
        num_classes: C.
        num_levels: L.
        quality_maps: maps of quality per anchor, 0 or 1.
        num_convs: length of a tower.
        norm: from channels to the layer behind each convolution; None for none.
        last_conv: makes the last convolution of a tower, called as `nn.Conv2d` is; `DeformableConv` for DCN.
        level_scale: what the boxes of each level pass through; `nn.Identity` for nothing.
        spread: standard deviation of the initial weights; None for that which keeps the size of signals.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        num_levels: int,
        *,
        quality_maps: int = 0,
        num_convs: int = 4,
        norm: Layer | None = group_norm,
        last_conv: Layer = nn.Conv2d,
        level_scale: Layer = Scale,
        spread: float | None = 0.01,
    ) -> None:
        super().__init__()
        self.class_tower = _tower(channels, num_convs, norm, last_conv)
        self.box_tower = _tower(channels, num_convs, norm, last_conv)
        self.cls_logits = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(channels, 4, 3, padding=1)
        self.quality = nn.Conv2d(channels, quality_maps, 3, padding=1) if quality_maps else None
        self.scales = nn.ModuleList(level_scale() for _ in range(num_levels))
        for tower in (self.class_tower, self.box_tower):
            initialize(tower, spread)
        outputs = [layer for layer in (self.cls_logits, self.bbox_pred, self.quality) if layer is not None]
        for layer in outputs:
            initialize(layer, 0.01)
        nn.init.constant_(self.cls_logits.bias, bias_of_prior(INITIAL_PRIOR))  # type: ignore[arg-type]

    @property
    def classifiers(self) -> list[nn.Module]:
        """The layers whose outputs are class logits."""
        return [self.cls_logits]

    def forward(self, features: Sequence[Tensor]) -> Maps:
        """Raw maps for L feature maps `(N, channels, H, W)`."""
        maps = Maps([], [], [])
        for feature, scale in zip(features, self.scales, strict=True):
            maps.logits.append(self.cls_logits(self.class_tower(feature)))
            about_box = self.box_tower(feature)
            maps.boxes.append(scale(self.bbox_pred(about_box)))
            if self.quality is not None:
                maps.quality.append(self.quality(about_box))
        return maps


def _tower(channels: int, num_convs: int, norm: Layer | None, last_conv: Layer) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(num_convs):
        conv = last_conv if i == num_convs - 1 else nn.Conv2d
        layers.append(conv(channels, channels, kernel_size=3, padding=1, bias=True))
        layers += [norm(channels)] if norm else []
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def initialize(module: nn.Module, spread: float | None) -> None:
    """Weights of the plain convolutions in a module from N(0, spread), or He's where it is None; biases 0.

    The convolution that predicts a deformable one's offsets keeps its zeros.
    """
    offsets = {id(part.offset) for part in module.modules() if isinstance(part, DeformableConv)}
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | DeformConv2d) and id(layer) not in offsets:
            if spread is None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.normal_(layer.weight, std=spread)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
