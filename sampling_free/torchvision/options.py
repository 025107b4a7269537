"""What `train` of a config may hold on this host, refused before anything is loaded where it makes no sense."""

from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig

from sampling_free.errors import UserError
from sampling_free.launch import Launch

_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _share(value: Any) -> bool:
    return _positive(value) and value < 1


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "max_iter": (_whole(1), "a whole number of at least 1"),
    "eval_period": (_whole(0), "a whole number; 0 evaluates only at the end"),
    "checkpoint_period": (_whole(0), "a whole number; 0 writes one only at the end"),
    "log_period": (_whole(1), "a whole number of at least 1"),
    "seed": (_whole(0), "a whole number of at least 0"),
    "accumulate": (_whole(1), "a whole number of at least 1"),
    "precision": (lambda value: value in _PRECISIONS, f"one of {', '.join(_PRECISIONS)}"),
    "clip_grad": (lambda value: value is None or _positive(value), "null or a positive number"),
    "ema": (lambda value: value is None or _share(value), "null or a decay between 0 and 1"),
    "patience": (lambda value: value is None or _whole(1)(value), "null or a whole number of at least 1"),
    "validation_loss": (lambda value: isinstance(value, bool), "true or false"),
    "prior": (lambda value: value in ("auto", None) or _share(value), '"auto", null or a number between 0 and 1'),
}


def check_options(train: DictConfig, launch: Launch) -> None:
    """Compare a config's `train` with what this machine and this engine can do.

    Raises:
        UserError: a key is missing or its value makes no sense; it names the key.
    """
    for name, (fits, wanted) in _RULES.items():
        if name not in train:
            raise UserError(f"the config has no train.{name}; start from configs/common/train.py, which has them all")
        if not fits(train[name]):
            raise UserError(f"train.{name} must be {wanted}, not {train[name]!r}")
    if train.precision == "16-mixed" and not torch.cuda.is_available():
        raise UserError('train.precision="16-mixed" needs a CUDA device; on a CPU "bf16-mixed" works')
    if torch.cuda.is_available() and launch.num_gpus > torch.cuda.device_count():
        raise UserError(f"--num-gpus {launch.num_gpus}, but this machine has {torch.cuda.device_count()}")
