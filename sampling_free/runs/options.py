"""What `train` of a config may hold, refused before anything is loaded where it makes no sense."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from omegaconf import DictConfig

from sampling_free.errors import UserError
from sampling_free.runs.launch import Launch

Rule = tuple[Callable[[Any], bool], str]  # whether a value fits, and what would


def whole(least: int, words: str = "") -> Rule:
    """A whole number."""
    return lambda value: _is_whole(value) and value >= least, words or f"a whole number of at least {least}"


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_share(value: Any) -> bool:
    return _is_positive(value) and value < 1


def null_or(rule: Rule) -> Rule:
    """Null, or what another rule allows."""
    fits, words = rule
    return lambda value: value is None or fits(value), f"null or {words}"


POSITIVE: Rule = (_is_positive, "a positive number")
SHARE: Rule = (_is_share, "a decay between 0 and 1")
YES_OR_NO: Rule = (lambda value: isinstance(value, bool), "true or false")

# of every host
SHARED: dict[str, Rule] = {
    "max_iter": whole(1),
    "eval_period": whole(0, "a whole number; 0 evaluates only at the end"),
    "log_period": whole(1),
    "seed": whole(0),
    "clip_grad": null_or(POSITIVE),
    "prior": (
        lambda value: value in ("auto", None) or _is_share(value),
        '"auto", null or a number between 0 and 1',
    ),
}


def check_options(options: Mapping[str, Any] | DictConfig, rules: Mapping[str, Rule], *, where: str = "train") -> None:
    """Compare a node of a config with rules.

    Args:
        options: the node.
        rules: per key.
        where: the node's name in the config.

    Raises:
        UserError: a key is missing or its value makes no sense; it names the key.
    """
    for name, (fits, wanted) in rules.items():
        if name not in options:
            raise UserError(f"the config has no {where}.{name}; start from configs/common, which has them all")
        if not fits(options[name]):
            raise UserError(f"{where}.{name} must be {wanted}, not {options[name]!r}")


def check_devices(launch: Launch) -> None:
    """Compare the processes asked for with the GPUs of this machine.

    Raises:
        UserError: there are fewer.
    """
    if torch.cuda.is_available() and launch.num_gpus > torch.cuda.device_count():
        raise UserError(f"--num-gpus {launch.num_gpus}, but this machine has {torch.cuda.device_count()}")
