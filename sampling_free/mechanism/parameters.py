"""Optimiser parameter groups: the learned scale has no weight decay."""

from typing import Any

from torch import nn

from sampling_free.mechanism.scaling import LossScaling


def scale_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of every `LossScaling` in a model.

    Weight decay pulls a parameter to 0, but the learned scales of v2 Eq. 24 (and of the released code) mean
    something at 1: they are to be exempt.
    """
    scalings = [module for module in model.modules() if isinstance(module, LossScaling)]
    return list({id(parameter): parameter for scaling in scalings for parameter in scaling.parameters()}.values())


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in one or two groups, for any torch optimiser.

    Args:
        model: whose parameters with `requires_grad` are to be trained.
        weight_decay: of all but the learned scales, which have none; see `scale_parameters`.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    scales = {id(parameter) for parameter in scale_parameters(model)}
    exempt = [parameter for parameter in trainable if id(parameter) in scales]
    groups = [{"params": [p for p in trainable if id(p) not in scales], "weight_decay": weight_decay}]
    return groups + ([{"params": exempt, "weight_decay": 0.0}] if exempt else [])
