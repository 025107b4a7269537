"""The learned scales have no weight decay, which detectron2's optimiser builders would give them."""

import torch
from torch import nn

from sampling_free.mechanism import scale_parameters

# For a LazyConfig: `optimizer.params.overrides = SCALE_OVERRIDES` (detectron2's get_default_optimizer_params), by the
# names of the learned parameters of `LearnedScaling` and `FrozenScaling`
SCALE_OVERRIDES = {"d": {"weight_decay": 0.0}, "sigmas": {"weight_decay": 0.0}}


def exempt_scales(optimizer: torch.optim.Optimizer, model: nn.Module) -> torch.optim.Optimizer:
    """Move a model's learned scales into a group without weight decay, in place; all else of their group stays.

    Args:
        optimizer: freshly built, by detectron2's `build_optimizer(cfg, model)` for one.
        model: what it optimises, wrapped or not.

    Returns:
        `optimizer` itself.
    """
    scales = {id(parameter) for parameter in scale_parameters(model)}
    for group in list(optimizer.param_groups):
        exempt = [parameter for parameter in group["params"] if id(parameter) in scales]
        if exempt and group["weight_decay"]:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in scales]
            optimizer.add_param_group({**group, "params": exempt, "weight_decay": 0.0})
    optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
    return optimizer
