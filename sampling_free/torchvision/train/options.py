"""What `train` of a config may hold on this host, refused before anything is loaded where it makes no sense."""

import torch
from omegaconf import DictConfig

from sampling_free.errors import UserError
from sampling_free.runs import options
from sampling_free.runs.launch import Launch
from sampling_free.runs.options import SHARE, YES_OR_NO, null_or, whole

_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
_RULES = options.SHARED | {
    "checkpoint_period": whole(0, "a whole number; 0 writes one only at the end"),
    "accumulate": whole(1),
    "precision": (lambda value: value in _PRECISIONS, f"one of {', '.join(_PRECISIONS)}"),
    "ema": null_or(SHARE),
    "patience": null_or(whole(1)),
    "validation_loss": YES_OR_NO,
}


def check_options(train: DictConfig, launch: Launch) -> None:
    """Compare a config's `train` with what this machine and this engine can do.

    Raises:
        UserError: a key is missing or its value makes no sense; it names the key.
    """
    options.check_options(train, _RULES)
    if train.precision == "16-mixed" and not torch.cuda.is_available():
        raise UserError('train.precision="16-mixed" needs a CUDA device; on a CPU "bf16-mixed" works')
    options.check_devices(launch)
