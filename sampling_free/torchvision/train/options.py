"""What `train` of a config holds on this host, refused before anything is loaded where it makes no sense."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

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


@dataclass(frozen=True)
class Options(options.Options):
    """`train` of a config, checked.

    Attributes:
        accumulate: batches that make an iteration.
        precision: Lightning's name of it.
        ema: decay of an average of the weights, or None.
        patience: evaluations without a better AP after which the run stops, or None.
        validation_loss: whether the losses of the evaluation's images are computed too.
    """

    accumulate: int
    precision: Any
    ema: float | None
    patience: int | None
    validation_loss: bool

    @classmethod
    def of(cls, train: Mapping[str, Any], launch: Launch) -> "Options":
        """Compare a config's `train` with what this machine and this engine can do.

        Raises:
            UserError: a key is missing or its value makes no sense; it names the key.
        """
        train = {"gradient_shares": False} | dict(train)  # configs of 0.1 know nothing of it
        options.check_options(train, _RULES)
        if train["precision"] == "16-mixed" and not torch.cuda.is_available():
            raise UserError('train.precision="16-mixed" needs a CUDA device; on a CPU "bf16-mixed" works')
        options.check_devices(launch)
        return cls(output_dir=train.get("output_dir", ""), **{name: train[name] for name in _RULES})
