"""A sampling-free detector by one call: what config files name."""

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from sampling_free.errors import UserError
from sampling_free.torchvision.convert import make_sampling_free

_CHOICES = frozenset(inspect.signature(make_sampling_free).parameters) - {"model"}


def build_sampling_free(detector: Callable[..., nn.Module], **arguments: Any) -> nn.Module:
    """A detector of torchvision's in its sampling-free form.

    Args:
        detector: builds the host's own form, `torchvision.models.detection.retinanet_resnet50_fpn` for one.
        arguments: those of `make_sampling_free` (`scaling`, `sampling`, `heads`, ...), and those of `detector`.

    Raises:
        UserError: an option does not apply to the detector, see `make_sampling_free`; or its name is misspelt.
    """
    choices = {name: value for name, value in arguments.items() if name in _CHOICES}
    for name in arguments.keys() - choices.keys() - inspect.signature(detector).parameters.keys():
        # torchvision's detectors take any name and ignore what they do not know
        near = difflib.get_close_matches(name, _CHOICES, n=1, cutoff=0.7)
        if near:
            raise UserError(f"model has no choice named {name}; did you mean {near[0]}?")
    return make_sampling_free(detector(**{k: v for k, v in arguments.items() if k not in choices}), **choices)
