"""The sum of `classification` as one operator for CUDA: forward, backward, and what torch.compile sees of them.

The operator launches the Triton kernels of `kernels`, one a level, and never waits for the device. Where Triton or its
compiler fails it warns once and works the same sums out with torch's operators; `SAMPLING_FREE_KERNELS=0` in the
environment chooses those. Called from Python, the two passes are a plain autograd function: a custom operator, which
torch.compile needs, costs a millisecond to call.
"""

import os
import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_DTYPES = (torch.float16, torch.bfloat16, torch.float32)
broken: list[str] = []  # what Triton failed with, in this process


def image_sums(logits: Sequence[Tensor], labels: Tensor, num_classes: int) -> Tensor:
    """`cross_entropy_sums`, by the shortest way that there is."""
    if torch.compiler.is_compiling():
        return cross_entropy_sums(logits, labels, num_classes)
    return _ImageSums.apply(labels, num_classes, *logits)


class _ImageSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, labels: Tensor, num_classes: int, *logits: Tensor) -> Tensor:
        ctx.save_for_backward(labels, *logits)
        ctx.num_classes = num_classes
        return _sums(logits, labels, num_classes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        labels, *logits = ctx.saved_tensors
        return None, None, *_gradients(grad, logits, labels, ctx.num_classes)


def _sums(logits: Sequence[Tensor], labels: Tensor, num_classes: int) -> Tensor:
    """Sums over the examples of each image, `(N,)`, float32 (float64 for float64 logits).

    Args:
        logits: L >= 1 raw maps `(N, A*C, H, W)`.
        labels: integers `(N, R)`, see `classification.sigmoid_cross_entropy_sum`.
        num_classes: C.
    """
    sums = [
        _either("map_sums", _map_sums, level, part, num_classes) for level, part in _parts(logits, labels, num_classes)
    ]
    total = torch.cat(sums, dim=1).sum(dim=1) if sums else labels.new_zeros(len(labels), dtype=torch.float64)
    return total.to(torch.promote_types(logits[0].dtype, torch.float32))


def _gradients(grad: Tensor, logits: Sequence[Tensor], labels: Tensor, num_classes: int) -> list[Tensor]:
    """Gradients of the raw maps for `grad` `(N,)`, each in its map's dtype and memory format."""
    gradients = iter(
        [
            _either("map_gradient", _map_gradient, level, part, num_classes, grad)
            for level, part in _parts(logits, labels, num_classes)
        ]
    )
    return [next(gradients) if level.numel() else torch.empty_like(level) for level in logits]


cross_entropy_sums = torch.library.custom_op("sampling_free::cross_entropy_sums", _sums, mutates_args=())
cross_entropy_gradients = torch.library.custom_op("sampling_free::cross_entropy_gradients", _gradients, mutates_args=())


@cross_entropy_sums.register_fake
def _(logits: Sequence[Tensor], labels: Tensor, num_classes: int) -> Tensor:
    dtype = torch.promote_types(logits[0].dtype, torch.float32)
    return logits[0].new_empty(labels.shape[0], dtype=dtype)


@cross_entropy_gradients.register_fake
def _(grad: Tensor, logits: Sequence[Tensor], labels: Tensor, num_classes: int) -> list[Tensor]:
    return [torch.empty_like(level) for level in logits]


def _keep(ctx: Any, inputs: tuple[Sequence[Tensor], Tensor, int], output: Tensor) -> None:
    logits, labels, ctx.num_classes = inputs
    ctx.save_for_backward(labels, *logits)


def _backward(ctx: Any, grad: Tensor) -> tuple[list[Tensor], None, None]:
    labels, *logits = ctx.saved_tensors
    return cross_entropy_gradients(grad, logits, labels, ctx.num_classes), None, None


cross_entropy_sums.register_autograd(_backward, setup_context=_keep)


def _parts(logits: Sequence[Tensor], labels: Tensor, num_classes: int) -> list[tuple[Tensor, Tensor]]:
    """Each map that is not empty, with its part `(N, H*W*A)` of the labels."""
    if labels.stride(1) != 1:
        labels = labels.contiguous()
    counts = [level[0, ::num_classes].numel() if len(level) else 0 for level in logits]
    return [(level, part) for level, part in zip(logits, labels.split(counts, dim=1), strict=True) if level.numel()]


def _either(kernel: str, formulation: Any, level: Tensor, *rest: Any) -> Tensor:
    """What a kernel answers, or the same formulation in torch's operators."""
    if level.dtype in _DTYPES and not broken and os.environ.get("SAMPLING_FREE_KERNELS") != "0":
        try:
            from sampling_free.mechanism import kernels

            with torch.cuda.device_of(level):
                return getattr(kernels, kernel)(level, *rest)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a compiler raises
            broken.append(f"{type(error).__name__}: {error}")
            warnings.warn(
                f"the loss works without its Triton kernels, slower and to the same value, because of "
                f"{broken[0]}; SAMPLING_FREE_KERNELS=0 in the environment chooses that without trying",
                stacklevel=2,
            )
    return formulation(level, *rest)


def _map_sums(level: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    logits, index, foreground, valid = _by_anchor(level, labels, num_classes)
    terms = F.softplus(logits.to(torch.promote_types(level.dtype, torch.float32)))
    own = logits.gather(2, index).to(terms.dtype)
    losses = terms.where(valid, 0.0).flatten(1).sum(dim=1, dtype=torch.float64)
    return (losses - own.where(foreground, 0.0).flatten(1).sum(dim=1, dtype=torch.float64))[:, None]


def _map_gradient(level: Tensor, labels: Tensor, num_classes: int, grad: Tensor) -> Tensor:
    logits, index, foreground, valid = _by_anchor(level, labels, num_classes)
    factor = grad.to(torch.promote_types(level.dtype, torch.float32)).view(-1, 1, 1, 1, 1)
    result = logits.to(factor.dtype).sigmoid().mul_(factor).where(valid, 0.0)
    result.scatter_add_(2, index, (-factor).where(foreground, 0.0))
    return torch.empty_like(level).copy_(result.flatten(1, 2))


def _by_anchor(level: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits `(N, A, C, H, W)`; class, whether foreground, whether not ignored, `(N, A, 1, H, W)`."""
    logits = level.unflatten(1, (-1, num_classes))
    num_images, anchors, _, height, width = logits.shape
    labels = labels.unflatten(1, (height, width, anchors)).permute(0, 3, 1, 2)[:, :, None]
    foreground = (labels >= 0) & (labels < num_classes)
    return logits, labels.long() * foreground, foreground, labels >= 0
