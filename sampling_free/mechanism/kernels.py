"""Plain cross-entropy of raw maps on CUDA: one Triton kernel forward, one backward.

The forward kernel reads each logit once and writes one partial sum a program. The backward kernel reads each logit once
and writes each gradient once. Labels decide inside the kernels, so nothing waits for the device, and no atomic addition
makes the order of a sum random. `sampling_free.mechanism.classification` imports this file for CUDA logits alone.

Letters: N images, L levels, A anchors per place, C classes, R places of a map (H*W).
"""

import os
import warnings
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

_TILE = 1024  # logits of a program; more would spill registers
_MOST_CLASSES = 16  # of a tile
_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


@triton.jit
def _tile(
    logits, labels, anchors, rows, num_classes, image_stride, anchor_stride, row_stride, class_stride,
    label_image_stride, label_row_stride, ROWS: tl.constexpr, CLASSES: tl.constexpr,
):  # fmt: skip
    """A program's tile `(ROWS, CLASSES)`: start, offsets, mask, float32 logits, which train, which are positive."""
    image = (tl.program_id(2) // anchors).to(tl.int64)
    anchor = tl.program_id(2) % anchors
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * CLASSES + tl.arange(0, CLASSES)
    label = tl.load(labels + image * label_image_stride + row * label_row_stride + anchor, mask=row < rows, other=-1)
    # the start in 64 bits, for a batch may hold more than 2^31 logits; one anchor's map of one image does not
    start = image * image_stride + anchor.to(tl.int64) * anchor_stride
    offsets = row[:, None] * row_stride + column[None, :] * class_stride
    mask = (row < rows)[:, None] & (column < num_classes)[None, :]
    x = tl.load(logits + start + offsets, mask=mask, other=0.0).to(tl.float32)
    trains = mask & (label >= 0)[:, None]
    positive = label[:, None] == column[None, :]
    return start, offsets, mask, x, trains, positive


@triton.jit
def _forward(
    logits, labels, partial, anchors, rows, num_classes, image_stride, anchor_stride, row_stride, class_stride,
    label_image_stride, label_row_stride, ROWS: tl.constexpr, CLASSES: tl.constexpr,
):  # fmt: skip
    _, _, _, x, trains, positive = _tile(
        logits, labels, anchors, rows, num_classes, image_stride, anchor_stride, row_stride, class_stride,
        label_image_stride, label_row_stride, ROWS, CLASSES,
    )  # fmt: skip
    e = tl.exp(-tl.abs(x))
    u = 1.0 + e
    # log(1 + e) loses the small e of a rare class; what rounding took from u is given back by the quotient
    log1p = tl.where(u == 1.0, e, tl.log(u) * (e / tl.where(u == 1.0, 1.0, u - 1.0)))
    loss = tl.maximum(x, 0.0) + log1p - tl.where(positive, x, 0.0)
    total = tl.sum(tl.sum(tl.where(trains, loss, 0.0), axis=1), axis=0)
    program = (tl.program_id(2) * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(0) + tl.program_id(0)
    tl.store(partial + program, total)


@triton.jit
def _backward(
    logits, labels, grad, grad_logits, anchors, rows, num_classes, image_stride, anchor_stride, row_stride,
    class_stride, label_image_stride, label_row_stride, ROWS: tl.constexpr, CLASSES: tl.constexpr,
):  # fmt: skip
    start, offsets, mask, x, trains, positive = _tile(
        logits, labels, anchors, rows, num_classes, image_stride, anchor_stride, row_stride, class_stride,
        label_image_stride, label_row_stride, ROWS, CLASSES,
    )  # fmt: skip
    e = tl.exp(-tl.abs(x))
    probability = tl.where(x >= 0, 1.0, e) / (1.0 + e)
    incoming = tl.load(grad + tl.program_id(2) // anchors)
    value = tl.where(trains, (probability - tl.where(positive, 1.0, 0.0)) * incoming, 0.0)
    tl.store(grad_logits + start + offsets, value.to(grad_logits.dtype.element_ty), mask=mask)


@torch.library.custom_op("sampling_free::cross_entropy_sums", mutates_args=())
def cross_entropy_sums(logits: list[Tensor], labels: Tensor, num_classes: int) -> Tensor:
    """Sums `(N,)`, float32, of the cross-entropies of each image's examples that are not ignored.

    Args:
        logits: L raw maps `(N, A*C, H, W)` of float16, bfloat16 or float32, contiguous or channels last.
        labels: integers `(N, sum of H*W*A)` in `(H, W, A)` order, level after level; see
            `sigmoid_cross_entropy_sum`.
        num_classes: C.
    """
    sums = torch.zeros(len(labels), dtype=torch.float64, device=labels.device)
    start = 0
    for level in logits:
        launch = _Launch(level, labels, start, num_classes)
        start += launch.num_examples
        if not level.numel():
            continue
        partial = torch.empty(launch.grid[::-1], dtype=torch.float32, device=level.device)
        _forward[launch.grid](level, launch.labels, partial, *launch.sizes, ROWS=launch.rows, CLASSES=launch.classes)
        sums += partial.view(len(labels), -1).sum(dim=1, dtype=torch.float64)
    return sums.float()


@cross_entropy_sums.register_fake
def _(logits: list[Tensor], labels: Tensor, num_classes: int) -> Tensor:
    return labels.new_empty(labels.shape[0], dtype=torch.float32)


@torch.library.custom_op("sampling_free::cross_entropy_gradients", mutates_args=())
def cross_entropy_gradients(logits: list[Tensor], labels: Tensor, grad: Tensor, num_classes: int) -> list[Tensor]:
    """Gradients of `cross_entropy_sums`: as `logits`, for incoming gradients `(N,)`."""
    grad = grad.float().contiguous()  # that of a sum is one number, expanded
    gradients, start = [], 0
    for level in logits:
        launch = _Launch(level, labels, start, num_classes)
        start += launch.num_examples
        gradients.append(torch.empty_like(level))
        if level.numel():
            _backward[launch.grid](
                level, launch.labels, grad, gradients[-1], *launch.sizes, ROWS=launch.rows, CLASSES=launch.classes
            )
    return gradients


@cross_entropy_gradients.register_fake
def _(logits: list[Tensor], labels: Tensor, grad: Tensor, num_classes: int) -> list[Tensor]:
    return [torch.empty_like(level) for level in logits]


def _save(ctx, inputs, output) -> None:
    logits, labels, ctx.num_classes = inputs
    ctx.save_for_backward(*logits, labels)


def _differentiate(ctx, grad: Tensor) -> tuple[list[Tensor], None, None]:
    *logits, labels = ctx.saved_tensors
    return cross_entropy_gradients(logits, labels, grad, ctx.num_classes), None, None


cross_entropy_sums.register_autograd(_differentiate, setup_context=_save)


class _Launch:
    """How one level's programs are laid out, and the strides by which they find their logits and labels.

    Args:
        level: raw map `(N, A*C, H, W)`.
        labels: of all levels.
        start: of this level's labels.
        num_classes: C.
    """

    def __init__(self, level: Tensor, labels: Tensor, start: int, num_classes: int) -> None:
        images, channels, height, width = level.shape
        anchors, rows = channels // num_classes, height * width
        self.num_examples = anchors * rows
        self.labels = labels[:, start : start + self.num_examples]
        image_stride, label_row_stride = channels * rows, anchors
        anchor_stride, row_stride, class_stride = num_classes * rows, 1, rows
        if not level.is_contiguous():  # channels last: an anchor is a further row, as in the labels
            anchors, rows, label_row_stride = 1, rows * anchors, 1
            anchor_stride, row_stride, class_stride = 0, num_classes, 1
        self.classes = min(triton.next_power_of_2(num_classes), _MOST_CLASSES)
        self.rows = min(_TILE // self.classes, triton.next_power_of_2(max(rows, 1)))
        self.grid = (triton.cdiv(rows, self.rows), triton.cdiv(num_classes, self.classes), images * anchors)
        self.sizes = (
            anchors, rows, num_classes, image_stride, anchor_stride, row_stride, class_stride,
            self.labels.stride(0), label_row_stride,
        )  # fmt: skip


@torch.compiler.assume_constant_result
def usable(logits: Sequence[Tensor]) -> bool:
    """Whether the kernels can take these raw maps: CUDA, a dtype they know, and a compiler that works.

    The environment variable `SAMPLING_FREE_KERNELS=0` turns them off.
    """
    if os.environ.get("SAMPLING_FREE_KERNELS", "1") == "0":
        return False
    return all(level.is_cuda and level.dtype in _DTYPES for level in logits) and _compiler_works()


_works: list[bool] = []  # what the first attempt found


def _compiler_works() -> bool:
    if not _works:
        try:
            cross_entropy_sums([torch.zeros(1, 1, 1, 1, device="cuda")], torch.zeros(1, 1, device="cuda").long(), 1)
            _works.append(True)
        except Exception as error:  # whatever a compiler, a driver or a missing header says
            warnings.warn(f"Triton cannot compile the loss kernels, so torch's operators serve: {error}", stacklevel=2)
            _works.append(False)
    return _works[0]


def dense(level: Tensor) -> Tensor:
    """The raw map in one of the two layouts that the kernels know; a copy only where it is in neither."""
    if level.is_contiguous() or level.is_contiguous(memory_format=torch.channels_last):
        return level
    return level.contiguous()
