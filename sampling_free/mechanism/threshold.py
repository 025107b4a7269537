"""Below which score is a detection dropped? Below N_f / N (v1, adaptive threshold), unless the user says a number."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class FittedThreshold(nn.Module):
    """The threshold that data gave, kept in the checkpoint and offered to the detector that owns this module.

    The detector has its threshold in an attribute of its own, a float, as its host knows it. That attribute takes the
    fitted value as long as it holds what says nothing: a usual value of the host, or the fitted value of before. Any
    other number is the user's, whether it came from a constructor, a config or an assignment, and stays.

    Args:
        attribute: name of the detector's attribute.
        usual: values of it that say nothing.
    """

    value: Tensor  # 0 where none was fitted

    def __init__(self, attribute: str, usual: Sequence[float]) -> None:
        super().__init__()
        self.attribute = attribute
        self.says_nothing = [float(value) for value in usual]
        self.register_buffer("value", torch.tensor(0.0))

    def offer(self, owner: nn.Module, value: float | None = None) -> None:
        """Give the owner a new fitted value, or the one that there is."""
        if value is not None:
            self.value.fill_(value)
        fitted = float(self.value)
        if fitted > 0 and float(getattr(owner, self.attribute)) in self.says_nothing:
            self.says_nothing = [*self.says_nothing, fitted]
            setattr(owner, self.attribute, fitted)

    def follow(self, share: Tensor, momentum: float = 0.99) -> None:
        """Move a value that was fitted towards what training finds, a scalar tensor; nothing waits for the device."""
        self.value += torch.where(self.value > 0, (share - self.value) * (1 - momentum), 0.0)


def add_fitted_threshold(owner: nn.Module, attribute: str, usual: Sequence[float]) -> None:
    """Give a detector a `fitted_threshold` that a checkpoint brings along.

    Args:
        owner: the detector; it has the attribute.
        attribute: see `FittedThreshold`.
        usual: see `FittedThreshold`.
    """
    owner.fitted_threshold = FittedThreshold(attribute, usual)
    owner.register_load_state_dict_pre_hook(_read_older_state)
    owner.register_load_state_dict_post_hook(_offer_what_was_loaded)


def _read_older_state(owner: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """In checkpoints of version 0.1 the threshold had the attribute's own name."""
    older = f"{prefix}{owner.fitted_threshold.attribute}"
    if older in state:
        state[f"{prefix}fitted_threshold.value"] = state.pop(older)


def _offer_what_was_loaded(owner: Any, _: Any) -> None:
    owner.fitted_threshold.offer(owner)
