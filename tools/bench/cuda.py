"""What only a GPU tells: the loss beside the memory traffic that it cannot do without, as work grows, and waits a step.

Device times are those of a CUDA graph's replays, without what Python takes to launch. What cannot be captured, because
it waits for the device, is timed as it is launched; so is ours, for comparison.
"""

import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from sampling_free.mechanism import sigmoid_cross_entropy_sum
from tools.bench.losses import rows_and_targets
from tools.bench.measuring import Goal

_RETINANET = [(100, 168), (50, 84), (25, 42), (13, 21), (7, 11)]  # of 800 x 1344 px, strides 8 to 128


@dataclass
class Work:
    """Raw maps `(N, A*C, H, W)` and labels of one loss."""

    maps: list[Tensor]
    labels: Tensor
    num_classes: int

    @classmethod
    def of(
        cls,
        *,
        images: int = 2,
        anchors: int = 9,
        classes: int = 80,
        sizes: Sequence[tuple[int, int]] = tuple(_RETINANET),
        dtype: torch.dtype = torch.float32,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> "Work":
        """Background but for a thousandth foreground and half a percent ignored."""
        generator = torch.Generator("cuda").manual_seed(0)
        maps = [
            (torch.randn(images, anchors * classes, *size, device="cuda", generator=generator) - 5)
            .to(dtype)
            .contiguous(memory_format=layout)
            .requires_grad_()
            for size in sizes
        ]
        count = anchors * sum(height * width for height, width in sizes)
        labels = torch.full((images, count), classes, device="cuda")
        chance = torch.rand(images, count, device="cuda", generator=generator)
        drawn = torch.randint(classes, (images, count), device="cuda", generator=generator)
        labels = torch.where(chance < 1e-3, drawn, labels).masked_fill(chance > 0.995, -1)
        return cls(maps, labels, classes)

    def ours(self) -> Any:
        """Forward and backward."""
        return torch.autograd.grad(sigmoid_cross_entropy_sum(self.maps, self.labels, self.num_classes), self.maps)

    def floor(self) -> Any:
        """Two reads and one write."""
        return [(level.detach().sum(), level.detach().clone()) for level in self.maps]

    def one_hot(self, loss: Callable[..., Tensor], **arguments: Any) -> Callable[[], Any]:
        """Forward and backward of a loss that wants one-hot targets."""

        def call() -> Any:
            rows, targets = rows_and_targets(self.maps, self.labels, self.num_classes)
            return torch.autograd.grad(loss(rows, targets, reduction="sum", **arguments), self.maps)

        return call


def rivals(work: Work) -> dict[str, Callable[[], Any]]:
    """By name, what ours replaces."""
    from fvcore.nn import sigmoid_focal_loss_jit

    focal = {"alpha": 0.25, "gamma": 2.0}
    return {
        "torchvision's focal loss": work.one_hot(sigmoid_focal_loss, **focal),
        "fvcore's `sigmoid_focal_loss_jit`": work.one_hot(sigmoid_focal_loss_jit, **focal),
        "one-hot cross-entropy": work.one_hot(F.binary_cross_entropy_with_logits),
    }


def launched_ms(call: Callable[[], Any], rounds: int = 20) -> float:
    """Median time between events around a call as Python launches it."""
    for _ in range(3):
        call()
    return _timed(call, rounds)


def device_ms(call: Callable[[], Any], rounds: int = 20) -> float:
    """Median time of the replay of a call that was captured in a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    graph.replay()
    return _timed(graph.replay, rounds)


def _timed(call: Callable[[], Any], rounds: int) -> float:
    pairs = []
    for _ in range(rounds):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        pairs.append((begin, end))
    torch.cuda.synchronize()
    return statistics.median(begin.elapsed_time(end) for begin, end in pairs)


def extra_mb(call: Callable[[], Any]) -> float:
    """Peak of what a call allocates, MB."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def loss_report() -> tuple[str, list[Goal]]:
    """Ours, its floor and its rivals at RetinaNet's size, batch 2."""
    lines, goals = ["| | device ms | launched ms | extra memory, MB |\n|---|---:|---:|---:|\n"], []
    for dtype in (torch.float32, torch.bfloat16):
        for layout, name in ((torch.contiguous_format, "contiguous"), (torch.channels_last, "channels last")):
            work = Work.of(dtype=dtype, layout=layout)
            title = f"{str(dtype).removeprefix('torch.')}, {name}"
            ours, floor = device_ms(work.ours), device_ms(work.floor)
            lines.append(_line(f"ours, {title}", f"{ours:.3f}", work.ours))
            lines.append(_line(f"floor: read twice, write once, {title}", f"{floor:.3f}", work.floor))
            goals.append(Goal(f"loss on the device to reading twice and writing once, {title}", ours / floor, 1.3))
            if layout == torch.contiguous_format:
                lines += [_line(f"{rival}, {title}", "", call) for rival, call in rivals(work).items()]
    return f"### Loss, forward and backward: 2 images, 201,600 anchors x 80\n\n{''.join(lines)}\n", goals


def _line(name: str, device: str, call: Callable[[], Any]) -> str:
    return f"| {name} | {device} | {launched_ms(call):.3f} | {extra_mb(call):.0f} |\n"


def growth_report() -> str:
    """Time as anchors, classes and images grow; float32, contiguous."""
    square = {count: [(round((count / 9) ** 0.5),) * 2] for count in (50_000, 100_000, 200_000, 400_000, 800_000)}
    cases: list[tuple[str, dict[str, Any]]] = [
        *((f"{count:,} anchors x 80", {"images": 1, "sizes": sizes}) for count, sizes in square.items()),
        *(
            (f"50,000 anchors x {c:,}", {"images": 1, "sizes": square[50_000], "classes": c})
            for c in (1, 20, 80, 365, 1203)
        ),
        *((f"{n} images of 100,000 anchors x 80", {"images": n, "sizes": square[100_000]}) for n in (1, 2, 4, 8, 16)),
    ]
    head = "| | ours, device | floor, device | ours, launched | focal | fvcore's focal | one-hot |\n|---|"
    lines = [head + "---:|" * 6 + "\n"]
    for title, sizes in cases:
        work = Work.of(**sizes)
        times = [device_ms(work.ours, 10), device_ms(work.floor, 10), launched_ms(work.ours, 10)]
        times += [launched_ms(call, 10) for call in rivals(work).values()]
        lines.append(f"| {title} | {' | '.join(f'{time:.3f}' for time in times)} |\n")
        del work
        torch.cuda.empty_cache()
    return f"### Loss as work grows, ms\n\n{''.join(lines)}\n"


def waits(step: Callable[[], Any]) -> int:
    """How often a training step waits for the device, as CUDA's own debug mode counts."""
    step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in seen)
