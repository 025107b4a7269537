"""The host's plain model from a sampling-free one: the same weights and threshold, nothing of training."""

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn

from sampling_free.errors import UserError
from sampling_free.mechanism.threshold import FittedThreshold

# what the sampling-free classes add to their host's
PARTS = (
    *("sampling", "classification_loss", "box_loss", "normalizer", "scaling", "statistics"),
    "boundary_threshold",
)


def plain_copy(model: nn.Module, hosts: Mapping[type[nn.Module], type[nn.Module]]) -> nn.Module:
    """A copy of a model in which every sampling-free module is one of its host's class.

    Args:
        model: stays as it is.
        hosts: the host's class of each sampling-free one.

    Raises:
        UserError: the model has no module of these classes.
    """
    if not any(type(module) in hosts for module in model.modules()):
        raise UserError(
            f"{type(model).__name__} is no model that make_sampling_free converted, so there is no plain form of it"
        )
    root = nn.ModuleDict({"model": copy.deepcopy(model)})
    for parent in list(root.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in hosts:
                setattr(parent, name, _of_class(child, hosts[type(child)]))
    for module in root.modules():
        _forget(module)
    return root["model"]


def _of_class(module: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """A module of a host's class with what another has beside `PARTS`."""
    plain = kind.__new__(kind)
    vars(plain).update(vars(module))
    for name in PARTS:
        if name in vars(plain) or name in plain._modules:
            delattr(plain, name)
    if "host_sampler" in vars(plain):
        plain.fg_bg_sampler = vars(plain).pop("host_sampler")
    return plain


def _forget(module: nn.Module) -> None:
    """Take away what a module of the host's got: the fitted threshold and the hooks for checkpoints."""
    if isinstance(getattr(module, "fitted_threshold", None), FittedThreshold):
        del module.fitted_threshold
    for hooks in (module._load_state_dict_pre_hooks, module._load_state_dict_post_hooks):
        for key, hook in list(hooks.items()):
            if _is_ours(hook):
                del hooks[key]


def _is_ours(hook: Any) -> bool:
    hook = getattr(hook, "hook", hook)  # torch wraps those that take the module
    function = getattr(hook, "func", hook)  # of a partial
    return function.__module__.startswith("sampling_free.")
