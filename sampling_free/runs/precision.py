"""Mixed precision: what a config may ask for, and whether this machine can do it."""

import torch

from sampling_free.errors import UserError

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}  # by the names of configs


def check_half(name: str, key: str) -> torch.dtype:
    """The data type of a half precision.

    Args:
        name: "bf16" or "fp16".
        key: of the config, for the message.

    Raises:
        UserError: it is neither, or "fp16" without a GPU.
    """
    if name not in HALF:
        raise UserError(f"{key} must be one of {', '.join(HALF)}, not {name!r}")
    if name == "fp16" and not torch.cuda.is_available():
        raise UserError(f'{key}="fp16" needs a CUDA device; on a CPU "bf16" works')
    return HALF[name]
