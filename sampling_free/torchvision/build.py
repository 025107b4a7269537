"""A sampling-free detector by one call: what config files name."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from sampling_free.torchvision.convert import make_sampling_free

_CHOICES = frozenset(inspect.signature(make_sampling_free).parameters) - {"model"}


def build_sampling_free(detector: Callable[..., nn.Module], **arguments: Any) -> nn.Module:
    """A detector of torchvision's in its sampling-free form.

    Args:
        detector: builds the host's own form, `torchvision.models.detection.retinanet_resnet50_fpn` for one.
        arguments: those of `make_sampling_free` (`scaling`, `sampling`, `heads`, ...), and those of `detector`.

    Raises:
        UserError: an option does not apply to the detector; see `make_sampling_free`.
    """
    choices = {name: value for name, value in arguments.items() if name in _CHOICES}
    return make_sampling_free(detector(**{k: v for k, v in arguments.items() if k not in choices}), **choices)
