"""What several training processes know together: the mean of a tensor, everybody's value."""

from typing import Any

import torch.distributed
from torch import Tensor


def mean_over_processes(value: Tensor) -> Tensor:
    """Mean of `value` (any shape, no gradient) over the processes of the default group; `value` itself without one.

    Where gradients are off, losses are looked at and train nothing. One process may do that alone, so there `value` is
    that of this process.
    """
    alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
    if alone or not torch.is_grad_enabled():
        return value
    value = value.clone()
    torch.distributed.all_reduce(value)
    return value / torch.distributed.get_world_size()


def gathered(value: Any) -> list[Any]:
    """The (picklable) values of all processes of the default group, in the order of their ranks."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values
