"""Plain cross-entropy summed over every example: the classification loss of Sampling-Free.

Letters: N images, L levels, A anchors per place, C classes, R examples of an image, M rows.

With all examples equal the loss needs no one-hot target (v1 Eq. 2, weights 1):

    sum of BCE(x, y) = sum of softplus(x) - sum over foreground i of x[i, y_i] - sum of softplus over ignored rows

so the raw maps are read once, as the convolution left them, and a handful of positions is looked up.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sampling_free.mechanism import fused
from sampling_free.mechanism.softplus import sigmoid_times, softplus_sum


def sigmoid_cross_entropy_sum(logits: Tensor | Sequence[Tensor], labels: Tensor, num_classes: int) -> Tensor:
    """Sum of the C binary cross-entropies of every example that is not ignored (v1 Eq. 2, v2 Eq. 13, undivided).

    Unlike `torchvision.ops.sigmoid_focal_loss` and `F.binary_cross_entropy_with_logits` it takes integer labels
    and raw maps: no one-hot target, no permute, no concatenation. The backward pass is `sigmoid(x)` times the
    incoming gradient, corrected at the foreground and ignored positions; only the logits and index vectors are kept.
    On CUDA both passes are one kernel a level, see `fused`.

    Args:
        logits: `(M, C)`, or a list of L raw maps `(N, A*C, H, W)` in any floating dtype and memory format.
        labels: integers, `(M,)` or `(N, R)` with `R = sum of H*W*A` in `(H, W, A)` order, level after level:
            class in `[0, C)`, `C` background, `-1` ignored.
        num_classes: C; 1 for a region proposal network.

    Returns:
        Scalar, float32 (float64 for float64 logits) under any autocast.

    Raises:
        ValueError: shapes or devices of logits and labels do not fit each other.
    """
    if isinstance(logits, Tensor):
        # rows are the map of one image that is M places high, channels last
        logits, labels = [logits.t()[None, :, :, None]], labels.reshape(1, -1)
    return sigmoid_cross_entropy_sums(logits, labels, num_classes).sum()


def sigmoid_cross_entropy_sums(logits: Sequence[Tensor], labels: Tensor, num_classes: int) -> Tensor:
    """The same for L raw maps, image by image: `(N,)`."""
    counts = _check(logits, labels, num_classes)
    if not len(logits):
        return torch.zeros(len(labels), device=labels.device)
    if logits[0].is_cuda:
        return fused.image_sums(list(logits), labels, num_classes)
    return torch.stack(
        [
            _LevelCrossEntropySums.apply(level, labels_per_level, num_classes)
            for level, labels_per_level in zip(logits, labels.split(counts, dim=1), strict=True)
        ]
    ).sum(dim=0)


class SigmoidCrossEntropy(nn.Module):
    """`sigmoid_cross_entropy_sum` as a module: the classification loss that Sampling-Free trains with (v1 Eq. 2).

    Every classification loss of a dense head is called like this one, so that losses are interchangeable.
    """

    reduction = "sum"

    @torch.jit.unused
    def forward(self, logits: Tensor | Sequence[Tensor], labels: Tensor, num_classes: int) -> Tensor:
        """See `sigmoid_cross_entropy_sum`."""
        return sigmoid_cross_entropy_sum(logits, labels, num_classes)

    def each(self, logits: Tensor, labels: Tensor, num_classes: int) -> Tensor:
        """Losses `(M,)` of the rows `(M, C)` themselves, for labels `(M,)`; PAA ranks anchors by them."""
        foreground = (labels >= 0) & (labels < num_classes)
        losses = F.softplus(logits).sum(dim=1)
        losses = losses - torch.where(foreground, logits.gather(1, (labels * foreground)[:, None])[:, 0], 0.0)
        return torch.where(labels >= 0, losses, 0.0)


def _check(logits: Sequence[Tensor], labels: Tensor, num_classes: int) -> list[int]:
    """Examples of an image, level by level, if logits and labels fit each other."""
    counts = [_num_examples(level, num_classes) for level in logits]
    expected = (logits[0].shape[0], sum(counts)) if len(logits) else tuple(labels.shape)
    if tuple(labels.shape) != expected:
        raise ValueError(
            f"labels of shape {tuple(labels.shape)} do not fit logits of shapes "
            f"{[tuple(level.shape) for level in logits]} and {num_classes} classes: expected {expected}"
        )
    if labels.is_floating_point():
        raise ValueError(f"labels must be integers, not {labels.dtype}")
    if len(logits) and labels.device != logits[0].device:
        raise ValueError(f"labels are on {labels.device}, logits on {logits[0].device}")
    return counts


def _num_examples(level: Tensor, num_classes: int) -> int:
    channels, height, width = level.shape[1:]
    if channels % num_classes:
        raise ValueError(f"{channels} channels of logits are no multiple of {num_classes} classes")
    return channels // num_classes * height * width


class _LevelCrossEntropySums(torch.autograd.Function):
    """The sums `(N,)` over one raw map `(N, A*C, H, W)` with labels `(N, H*W*A)`."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, num_classes: int) -> Tensor:
        foreground, foreground_class = _places((labels >= 0) & (labels < num_classes), labels, logits, num_classes)
        ignored, _ = _places(labels < 0, labels, logits, num_classes)
        ctx.save_for_backward(logits, *foreground, foreground_class, *ignored)
        ctx.num_classes = num_classes
        by_anchor = _by_anchor(logits, num_classes)
        sums = torch.zeros(len(logits), dtype=torch.float64, device=logits.device)
        for image, of_image in enumerate(logits):
            sums[image] = softplus_sum(of_image[None])
        own = _at(by_anchor, foreground, foreground_class)
        rows = _rows(by_anchor, ignored)
        unwanted = F.softplus(rows.to(torch.promote_types(rows.dtype, torch.float32))).sum(dim=1, dtype=torch.float64)
        sums = sums.index_add(0, foreground[0], own.to(sums.dtype), alpha=-1)
        return sums.index_add(0, ignored[0], unwanted, alpha=-1).to(torch.promote_types(logits.dtype, torch.float32))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        logits, *places = ctx.saved_tensors
        foreground, foreground_class, ignored = places[:4], places[4], places[5:]
        dense = logits.is_contiguous() or logits.is_contiguous(memory_format=torch.channels_last)
        grad_logits = torch.empty_like(logits) if dense else torch.empty_like(logits.contiguous())
        for of_image, factor, result in zip(logits.split(1), grad, grad_logits.split(1), strict=True):
            sigmoid_times(of_image, factor, result)
        by_anchor = _by_anchor(grad_logits, ctx.num_classes)
        image, anchor, row, column = foreground
        by_anchor[image, anchor, foreground_class, row, column] -= grad.to(grad_logits.dtype)[image]
        image, anchor, row, column = ignored
        by_anchor[image, anchor, :, row, column] = 0
        return grad_logits, None, None


def _by_anchor(level: Tensor, num_classes: int) -> Tensor:
    """`(N, A*C, H, W)` seen as `(N, A, C, H, W)`, a view in every memory format."""
    return level.unflatten(1, (-1, num_classes))


def _places(mask: Tensor, labels: Tensor, level: Tensor, num_classes: int) -> tuple[tuple[Tensor, ...], Tensor]:
    """Where `mask` `(N, H*W*A)` is true, as indices (image, anchor, row, column), and the labels there."""
    image, example = mask.nonzero(as_tuple=True)
    num_anchors, width = level.shape[1] // num_classes, level.shape[3]
    place, anchor = example // num_anchors, example % num_anchors
    return (image, anchor, place // width, place % width), labels[image, example].long()


def _at(by_anchor: Tensor, places: tuple[Tensor, ...], classes: Tensor) -> Tensor:
    image, anchor, row, column = places
    return by_anchor[image, anchor, classes, row, column]


def _rows(by_anchor: Tensor, places: tuple[Tensor, ...]) -> Tensor:
    image, anchor, row, column = places
    return by_anchor[image, anchor, :, row, column]
