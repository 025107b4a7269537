"""The settings of an optimiser: a resumed run takes them from the config, and momentum from the checkpoint."""

from typing import Any

import torch

# what a schedule writes into a group, and the parameters themselves, are no settings
_NOT_SETTINGS = ("params", "lr", "initial_lr", "param_names")


def settings_of(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Learning rate (before any schedule) and other settings of each group of parameters of a fresh optimiser."""
    return [
        {name: value for name, value in group.items() if name not in _NOT_SETTINGS}
        | {"initial_lr": group.get("initial_lr", group["lr"])}
        for group in optimizer.param_groups
    ]


def give_settings(optimizer: torch.optim.Optimizer, settings: list[dict[str, Any]]) -> None:
    """Give an optimiser, whose state is a checkpoint's, the settings of the config; in place.

    The learning rate of the moment is the schedule's, which computes it anew.

    Args:
        optimizer: with its state.
        settings: of `settings_of`, a group each.
    """
    for group, values in zip(optimizer.param_groups, settings, strict=True):
        group.update(values)
