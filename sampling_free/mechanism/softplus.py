"""Sum of softplus over a tensor, and its derivative: the two passes over the logits that plain cross-entropy costs.

softplus(x) = max(x, 0) + log(1 + e) with e = exp(-|x|). torch's CPU kernels for `log1p` and `softplus` are not
vectorised, and `log(1 + e)` loses the small e that a classifier with a rare foreground lives on. So on a CPU the
logarithm of a product replaces the sum of logarithms: with u = product of (1 + e) less 1, two partial products
combine as u = a + b + a*b, which rounds nothing away, and one logarithm serves 64 logits.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_CHUNK = 1 << 17  # logits at a time: their workspace stays in the processor's cache
_HALVINGS = 6  # 64 factors of at most 2: the product stays below 2^64, well inside float32


def softplus_sum(x: Tensor) -> Tensor:
    """Sum of log(1 + exp(x)) over all entries of `x` (any shape, floating dtype, memory format).

    Returns:
        Scalar without gradient, float64 (float32 on devices without it). Relative error about 1e-8 for float32 input.
    """
    flat = _flat(x.detach())
    accumulator = torch.float32 if x.device.type == "mps" else torch.float64
    if x.device.type != "cpu":
        return F.softplus(flat.to(_working_dtype(x))).sum(dtype=accumulator)
    total = torch.zeros((), dtype=accumulator)
    for chunk in flat.split(_CHUNK):
        chunk = chunk.to(_working_dtype(x))
        positive = chunk.clamp(min=0)
        total += positive.sum(dtype=accumulator)
        # x - 2 max(x, 0) = -|x|, in the buffer that holds max(x, 0)
        total += _log1p_sum(torch.add(chunk, positive, alpha=-2, out=positive).exp_())
    return total


def sigmoid_times(x: Tensor, factor: Tensor, result: Tensor) -> Tensor:
    """Writes `sigmoid(x) * factor` for a scalar tensor `factor` to `result`: shape, dtype, memory format as of `x`.

    Worked out in float32 for half-precision input, where a small probability would be flushed to zero.
    """
    factor = factor.to(_working_dtype(x))
    if x.device.type != "cpu":
        return result.copy_(x.to(factor.dtype).sigmoid().mul_(factor))
    for chunk, target in zip(_flat(x).split(_CHUNK), _flat(result).split(_CHUNK), strict=True):
        if target.dtype == factor.dtype:
            torch.sigmoid(chunk, out=target).mul_(factor)
        else:
            target.copy_(chunk.to(factor.dtype).sigmoid_().mul_(factor))
    return result


def _log1p_sum(e: Tensor) -> Tensor:
    """Sum of log(1 + e) for a flat e in [0, 1]; overwrites e."""
    padding = -e.numel() % (1 << _HALVINGS)
    u = F.pad(e, (0, padding)) if padding else e
    for _ in range(_HALVINGS):
        a, b = u.chunk(2)
        u = b.addcmul_(a, b).add_(a)
    return u.log1p_().sum(dtype=torch.float64)


def _flat(x: Tensor) -> Tensor:
    """All entries of `x` in the order of memory, without a copy where `x` is dense; order does not matter to a sum."""
    if x.is_contiguous():
        return x.view(-1)
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return x.permute(0, 2, 3, 1).reshape(-1)
    return x.reshape(-1)


def _working_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
