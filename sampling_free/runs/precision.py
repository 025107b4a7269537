"""Mixed precision: what a config may ask for."""

import torch

from sampling_free.errors import UserError

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}  # by the names of configs


def check_half(name: str, key: str) -> torch.dtype:
    """The data type of a half precision.

    Args:
        name: "bf16" or "fp16".
        key: of the config, for the message.

    Raises:
        UserError: it is neither.
    """
    if name not in HALF:
        raise UserError(f"{key} must be one of {', '.join(HALF)}, not {name!r}")
    return HALF[name]
