"""Optimiser parameter groups: the learned scale has no weight decay."""

from typing import Any

from torch import nn


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in one or two groups, for any torch optimiser.

    Weight decay pulls a parameter to 0, but the learned scales of v2 Eq. 24 (and of the released code) mean
    something at 1: they are exempt.

    Args:
        model: whose parameters with `requires_grad` are to be trained.
        weight_decay: of all but the exempt ones.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    exempt = [parameter for parameter in trainable if getattr(parameter, "exempt_from_weight_decay", False)]
    identities = {id(parameter) for parameter in exempt}
    groups = [{"params": [p for p in trainable if id(p) not in identities], "weight_decay": weight_decay}]
    return groups + ([{"params": exempt, "weight_decay": 0.0}] if exempt else [])
