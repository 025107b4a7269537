"""Ranks of values, also inside groups. Letters: R examples of an image."""

import torch
from torch import Tensor


def ranks_within(values: Tensor, groups: Tensor) -> Tensor:
    """Rank of each value inside its group: 0 is the highest; of equal values the first ranks higher.

    Args:
        values: `(R,)`.
        groups: `(R,)`, integers.

    Returns:
        `(R,)`, int64.
    """
    order = values.argsort(descending=True, stable=True)
    order = order[groups[order].argsort(stable=True)]  # group after group, each from high to low
    sorted_groups = groups[order].contiguous()
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order), device=order.device) - torch.searchsorted(sorted_groups, sorted_groups)
    return ranks


def ranks(values: Tensor) -> Tensor:
    """Rank of each value `(R,)`: 0 is the highest; of equal values the first ranks higher."""
    return ranks_within(values, torch.zeros_like(values, dtype=torch.int64))
