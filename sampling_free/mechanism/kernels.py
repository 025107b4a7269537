"""The loss of `classification` as Triton kernels: the logits are read once forward, read and written once backward.

Letters: N images, A anchors per place, C classes, H rows, W columns. A level's raw map lies in memory in one of two
ways, and each has its pair of kernels: as planes `(N, A, C, H*W)`, or, channels last, as rows `(N, H*W*A, C)`. The
label of an example decides inside the kernel, so nothing is looked for, indexed or waited for.

softplus(x) = max(x, 0) + log(1 + e) with e = exp(-|x|). One logarithm serves the up to 64 factors (1 + e) that a lane
meets: with u = their product less 1, the next factor makes u + e + u*e, which rounds no small e away. So a program
works in float32 within a lane, in float64 across its lanes, and writes one partial sum.

This is the only file that imports Triton; `fused` loads it at the first use.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 512  # logits that a program reads at once
_UNROLL = 8  # reads under way at once
_BACKGROUND = tl.constexpr(-1)  # inside the kernels, where it is no class of any column
_IGNORED = tl.constexpr(-2)
_SPAN = 16  # classes of a program of planes: few make many programs; at most 64 factors of 2 stay inside float32


def map_sums(logits: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Partial sums `(N, programs)`, float64, over the examples of one raw map.

    Args:
        logits: `(N, A*C, H, W)`, not empty, float16, bfloat16 or float32; one that is neither contiguous nor channels
            last is copied.
        labels: integers `(N, H*W*A)`, entries of a row adjacent.
        num_classes: C.
    """
    logits = _dense(logits)
    kernel, grid, sizes = _launch(_sums_of_planes, _sums_of_rows, logits, num_classes)
    partials = logits.new_empty((len(logits), grid[0] * grid[1] * grid[2] // len(logits)), dtype=torch.float64)
    kernel[grid](logits, labels, partials, labels.stride(0), **sizes)
    return partials


def map_gradient(logits: Tensor, labels: Tensor, num_classes: int, grad: Tensor) -> Tensor:
    """Gradient of one raw map, in its dtype and memory format, for the gradients `grad` `(N,)` of the images' sums."""
    dense = _dense(logits)
    kernel, grid, sizes = _launch(_gradient_of_planes, _gradient_of_rows, dense, num_classes)
    result = torch.empty_like(dense)
    kernel[grid](dense, labels, grad, result, labels.stride(0), grad.stride(0), **sizes)
    return result if dense is logits else torch.empty_like(logits).copy_(result)


def _dense(logits: Tensor) -> Tensor:
    if logits.is_contiguous() or logits.is_contiguous(memory_format=torch.channels_last):
        return logits
    return logits.contiguous()


def _launch(
    planes: Any, rows: Any, logits: Tensor, num_classes: int
) -> tuple[Any, tuple[int, int, int], dict[str, int]]:
    """Which of two kernels fits how the logits lie in memory, its grid, and what both of the kind are called with."""
    images, channels, height, width = logits.shape
    if logits.is_contiguous() and height * width > 1:
        block = min(_BLOCK, max(128, triton.next_power_of_2(height * width)))
        spans = triton.cdiv(num_classes, _SPAN)
        sizes = {"places": height * width, "ANCHORS": channels // num_classes, "CLASSES": num_classes, "BLOCK": block}
        steps = triton.cdiv(triton.cdiv(num_classes, spans), _UNROLL)
        grid = (triton.cdiv(height * width, block), spans, images * channels // num_classes)
        return planes, grid, {**sizes, "STEPS": steps, "UNROLL": min(_UNROLL, triton.next_power_of_2(num_classes))}
    total = channels * height * width
    sizes = {"total": total, "CLASSES": num_classes, "BLOCK": _BLOCK, "UNROLL": _UNROLL}
    return rows, (triton.cdiv(total, _BLOCK * _UNROLL), images, 1), sizes


@triton.jit
def _sums_of_planes(
    logits,
    labels,
    partials,
    labels_stride,
    places,
    ANCHORS: tl.constexpr,
    CLASSES: tl.constexpr,
    BLOCK: tl.constexpr,
    STEPS: tl.constexpr,
    UNROLL: tl.constexpr,
):
    """One block of places of one anchor, for a span of classes: lanes are places."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    plane, inside = tl.program_id(2), place < places
    label = _label(labels, labels_stride, plane // ANCHORS, place * ANCHORS + plane % ANCHORS, inside, CLASSES)
    logits += plane.to(tl.int64) * CLASSES * places
    linear, product = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    for step in range(STEPS):
        for i in tl.static_range(UNROLL):
            column = (tl.program_id(1) * STEPS + step) * UNROLL + i
            x = tl.load(logits + column * places + place, mask=inside & (column < CLASSES), other=float("-inf"))
            linear, product = _add(x.to(tl.float32), column == label, linear, product)
    _store_sum(partials, tl.where(label != _IGNORED, linear + _log1p(product), 0.0))


@triton.jit
def _gradient_of_planes(
    logits,
    labels,
    grad,
    result,
    labels_stride,
    grad_stride,
    places,
    ANCHORS: tl.constexpr,
    CLASSES: tl.constexpr,
    BLOCK: tl.constexpr,
    STEPS: tl.constexpr,
    UNROLL: tl.constexpr,
):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    plane, inside = tl.program_id(2), place < places
    label = _label(labels, labels_stride, plane // ANCHORS, place * ANCHORS + plane % ANCHORS, inside, CLASSES)
    factor = tl.load(grad + plane // ANCHORS * grad_stride).to(tl.float32)
    start = plane.to(tl.int64) * CLASSES * places
    logits += start
    result += start
    for step in range(STEPS):
        # all reads before the first write: as far as the compiler knows, that could change what is read
        column = (tl.program_id(1) * STEPS + step) * UNROLL + tl.arange(0, UNROLL)[:, None]
        there, mask = column * places + place[None, :], inside[None, :] & (column < CLASSES)
        x = tl.load(logits + there, mask=mask, other=0.0)
        tl.store(result + there, _derivative(x, label[None, :], column, factor).to(x.dtype), mask=mask)


@triton.jit
def _sums_of_rows(
    logits,
    labels,
    partials,
    labels_stride,
    total,
    CLASSES: tl.constexpr,
    BLOCK: tl.constexpr,
    UNROLL: tl.constexpr,
):
    """One block of an image's logits in the order of memory: a lane meets logits of several rows."""
    image, start = tl.program_id(1), tl.program_id(0).to(tl.int64) * (BLOCK * UNROLL)
    left, column = tl.minimum(total - start, BLOCK * UNROLL).to(tl.int32), (start % CLASSES).to(tl.int32)
    labels += start // CLASSES
    logits += image.to(tl.int64) * total + start
    linear, product = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    for i in tl.static_range(UNROLL):
        there = i * BLOCK + tl.arange(0, BLOCK)
        inside, entry = there < left, column + there
        label = _label(labels, labels_stride, image, entry // CLASSES, inside, CLASSES)
        x = tl.load(logits + there, mask=inside, other=float("-inf")).to(tl.float32)
        x = tl.where(label != _IGNORED, x, float("-inf"))
        linear, product = _add(x, entry % CLASSES == label, linear, product)
    _store_sum(partials, linear + _log1p(product))


@triton.jit
def _gradient_of_rows(
    logits,
    labels,
    grad,
    result,
    labels_stride,
    grad_stride,
    total,
    CLASSES: tl.constexpr,
    BLOCK: tl.constexpr,
    UNROLL: tl.constexpr,
):
    image, start = tl.program_id(1), tl.program_id(0).to(tl.int64) * (BLOCK * UNROLL)
    left, column = tl.minimum(total - start, BLOCK * UNROLL).to(tl.int32), (start % CLASSES).to(tl.int32)
    factor = tl.load(grad + image * grad_stride).to(tl.float32)
    labels += start // CLASSES
    logits += image.to(tl.int64) * total + start
    result += image.to(tl.int64) * total + start
    for i in tl.static_range(UNROLL):
        there = i * BLOCK + tl.arange(0, BLOCK)
        inside, entry = there < left, column + there
        label = _label(labels, labels_stride, image, entry // CLASSES, inside, CLASSES)
        x = tl.load(logits + there, mask=inside, other=0.0)
        tl.store(result + there, _derivative(x, label, entry % CLASSES, factor).to(x.dtype), mask=inside)


@triton.jit
def _label(labels, stride, image, example, inside, CLASSES: tl.constexpr):
    """Classes of examples, `_BACKGROUND` or `_IGNORED`."""
    label = tl.load(labels + image.to(tl.int64) * stride + example, mask=inside, other=-1).to(tl.int32)
    return tl.where(label < 0, _IGNORED, tl.where(label < CLASSES, label, _BACKGROUND))


@triton.jit
def _add(x, is_class, linear, product):
    """One more logit for each lane: `max(x, 0)`, less the logit of its class, and one more factor of the product."""
    e = tl.exp(-tl.abs(x))
    return linear + (tl.maximum(x, 0.0) - tl.where(is_class, x, 0.0)), product + (e + product * e)


@triton.jit
def _derivative(x, label, column, factor):
    """`sigmoid(x)`, less 1 for the class of the example, times `factor`; 0 where the example is ignored."""
    x = x.to(tl.float32)
    e = tl.exp(-tl.abs(x))
    likely = 1.0 / (1.0 + e)  # the sigmoid of |x|; that of -|x| is e * likely
    positive, negative = tl.where(x >= 0, likely, e * likely), tl.where(x >= 0, e * likely, likely)
    return tl.where(label != _IGNORED, tl.where(column == label, -negative, positive) * factor, 0.0)


@triton.jit
def _log1p(u):
    """log(1 + u) for u >= 0, exact to float32's last digits for a small u too, where log(1 + u) is not.

    log(1 + u) = 2 artanh(u / (2 + u)); up to u = 1 the terms below leave out less than 2e-8 of it.
    """
    s = u / (2.0 + u)
    t = s * s
    series = 1 / 9 + t * (1 / 11 + t * (1 / 13))
    series = 1 + t * (1 / 3 + t * (1 / 5 + t * (1 / 7 + t * series)))
    return tl.where(u < 1, 2 * s * series, tl.log(1 + u))


@triton.jit
def _store_sum(partials, lanes):
    program = (tl.program_id(2) * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(0) + tl.program_id(0)
    tl.store(partials + program, tl.sum(lanes.to(tl.float64), axis=0))
