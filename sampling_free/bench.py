"""Time and memory of the classification loss and of a training step, beside what they replace.

    make bench        # or: python -m sampling_free.bench [--quick] [--write docs/benchmarks.md]

Contestants take turns in one run, so that what disturbs one disturbs all; figures are medians with their quartiles, and
what counts is their ratios. Memory is what a contestant's operators allocate at their peak, beyond its inputs.
"""

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torchvision.models.detection import fasterrcnn_resnet50_fpn, retinanet_resnet50_fpn
from torchvision.ops import sigmoid_focal_loss
from tqdm import tqdm

from sampling_free.heuristics.focal import rows_of_maps
from sampling_free.mechanism import parameter_groups, sigmoid_cross_entropy_sum
from sampling_free.torchvision import make_sampling_free, set_prior

_DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@dataclass
class Contestant:
    """Something to time: a name and a call; `seconds` and `peak_mb` are filled in."""

    name: str
    call: Callable[[], None]
    seconds: list[float] = field(default_factory=list)
    peak_mb: float = 0.0

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    def row(self, first: "Contestant") -> str:
        """A line of the table, ratios against the first contestant."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        times = f"{1e3 * self.median:.1f} ({1e3 * low:.1f} to {1e3 * high:.1f})"
        return f"| {self.name} | {times} | {self.median / first.median:.2f} | {self.peak_mb:.0f} |\n"


def measure(contestants: Sequence[Contestant], rounds: int) -> None:
    """Let every contestant run once for warmth, once for memory, then `rounds` times in turn."""
    for contestant in contestants:
        contestant.call()
        contestant.peak_mb = _peak_memory(contestant.call)
    for _ in tqdm(range(rounds), desc="measuring", leave=False):
        for contestant in contestants:
            _synchronize()
            start = time.perf_counter()
            contestant.call()
            _synchronize()
            contestant.seconds.append(time.perf_counter() - start)


def _synchronize() -> None:
    if _DEVICE == "cuda":
        torch.cuda.synchronize()


def _peak_memory(call: Callable[[], None]) -> float:
    """Largest sum of allocations that were alive at once during a call, in MB."""
    if _DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    alive = peak = 0
    for event in sorted(_memory_events(profiler), key=lambda event: event[0]):
        alive += event[1]
        peak = max(peak, alive)
    return peak / 2**20


def _memory_events(profiler: profile) -> list[tuple[int, int]]:
    """(time, bytes) of every allocation (positive) and release (negative)."""
    events: Any = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    return [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]


def loss_contestants(sizes: Sequence[tuple[int, int]], anchors: int, num_classes: int) -> list[Contestant]:
    """Forward and backward over raw maps `(1, A*C, H, W)`: ours, the two it replaces, and two floors."""
    torch.manual_seed(0)
    maps = [(torch.randn(1, anchors * num_classes, h, w, device=_DEVICE) - 5).requires_grad_() for h, w in sizes]
    count = sum(h * w for h, w in sizes) * anchors
    labels = torch.full((1, count), num_classes, device=_DEVICE)
    picks = torch.randperm(count)[: max(3, count // 100)].to(_DEVICE)
    labels[0, picks[::10]] = torch.randint(num_classes, (len(picks[::10]),), device=_DEVICE)
    labels[0, picks[1::2]] = -1
    flat = [level.detach() for level in maps]

    def ours() -> None:
        _backward(sigmoid_cross_entropy_sum(maps, labels, num_classes), maps)

    def focal() -> None:
        _backward(sigmoid_focal_loss(*_one_hot(maps, labels, num_classes), reduction="sum"), maps)

    def cross_entropy() -> None:
        logits, targets = _one_hot(maps, labels, num_classes)
        _backward(F.binary_cross_entropy_with_logits(logits, targets, reduction="sum"), maps)

    def copy() -> None:
        for level in flat:
            level.clone()

    def exp_and_sigmoid() -> None:
        for level in flat:
            level.exp()
            level.sigmoid()

    return [
        Contestant("ours: `sigmoid_cross_entropy_sum`", ours),
        Contestant("torchvision's focal loss, one-hot", focal),
        Contestant("torch's cross-entropy, one-hot", cross_entropy),
        Contestant("floor: one copy of the logits", copy),
        Contestant("floor: one exp and one sigmoid pass", exp_and_sigmoid),
    ]


def _one_hot(maps: list[Tensor], labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Rows and targets of the examples that are not ignored, as torchvision's RetinaNet makes them."""
    rows = rows_of_maps(maps, num_classes)
    foreground, valid = (labels >= 0) & (labels < num_classes), labels >= 0
    targets = torch.zeros_like(rows)
    targets[(*foreground.nonzero(as_tuple=True), labels[foreground])] = 1.0
    return rows[valid], targets[valid]


def _backward(loss: Tensor, maps: list[Tensor]) -> None:
    for level in maps:
        level.grad = None
    loss.backward()


def step_contestants(size: tuple[int, int]) -> dict[str, list[Contestant]]:
    """A whole training step of one image, ResNet-50-FPN from random weights, as torchvision builds it."""
    common = {
        "weights": None,
        "weights_backbone": None,
        "num_classes": 91,
        "min_size": min(size),
        "max_size": max(size),
    }
    proposals = {"rpn_post_nms_top_n_train": 1000}  # the papers'
    retinanet = make_sampling_free(retinanet_resnet50_fpn(**common))
    set_prior(retinanet, 1e-5)
    return {
        "RetinaNet": [
            Contestant("sampling-free", _step(retinanet, size)),
            Contestant("focal loss (torchvision)", _step(retinanet_resnet50_fpn(**common), size)),
        ],
        "Faster R-CNN": [
            Contestant(
                "sampling-free", _step(make_sampling_free(fasterrcnn_resnet50_fpn(**common, **proposals)), size)
            ),
            Contestant("biased sampling (torchvision)", _step(fasterrcnn_resnet50_fpn(**common, **proposals), size)),
        ],
    }


def _step(model: nn.Module, size: tuple[int, int]) -> Callable[[], None]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, *size, generator=generator).to(_DEVICE)
    corners = torch.rand(8, 2, generator=generator) * torch.tensor([size[1] * 0.7, size[0] * 0.7])
    sides = 20 + torch.rand(8, 2, generator=generator) * 0.25 * min(size)
    target = {
        "boxes": torch.cat([corners, corners + sides], dim=1).to(_DEVICE),
        "labels": torch.randint(1, 91, (8,), generator=generator).to(_DEVICE),
    }
    model.to(_DEVICE).train()
    # a rate of 0: the step costs the same, and random weights stay what they are
    optimizer = torch.optim.SGD(parameter_groups(model, 1e-4), lr=0.0, momentum=0.9)

    def step() -> None:
        losses = model([image], [target])
        optimizer.zero_grad()
        torch.stack([loss.float() for loss in losses.values()]).sum().backward()
        optimizer.step()

    return step


def table(title: str, contestants: Sequence[Contestant]) -> str:
    """A Markdown table with a title."""
    head = f"### {title}\n\n| | median ms (quartiles) | ratio to the first | extra memory, MB |\n|---|---:|---:|---:|\n"
    return head + "".join(contestant.row(contestants[0]) for contestant in contestants) + "\n"


def goals(loss: Sequence[Contestant], steps: dict[str, list[Contestant]]) -> str:
    """What was aimed at, what was measured, and whether it is reached."""
    ours, focal, cross_entropy, _, passes = loss
    aims = [
        ("loss, focal's time to ours", focal.median / ours.median, 5.0, "at least"),
        ("loss, one-hot cross-entropy's time to ours", cross_entropy.median / ours.median, 3.0, "at least"),
        ("loss, our memory to focal's", ours.peak_mb / focal.peak_mb, 0.5, "at most"),
        ("loss, our time to exp and sigmoid", ours.median / passes.median, 3.0, "at most"),
    ]
    limits = {"RetinaNet": 0.97, "Faster R-CNN": 1.07}
    for name, (sampling_free, host) in steps.items():
        aims.append(
            (
                f"{name} step, sampling-free to torchvision's",
                sampling_free.median / host.median,
                limits[name],
                "at most",
            )
        )
    lines = "".join(
        f"| {name} | {value:.2f} | {bound} {limit} | {_verdict(value, limit, bound)} |\n"
        for name, value, limit, bound in aims
    )
    return f"### Goals\n\n| | measured | goal | |\n|---|---:|---:|---|\n{lines}"


def _verdict(value: float, limit: float, bound: str) -> str:
    return "reached" if (value >= limit if bound == "at least" else value <= limit) else "missed"


def run(*, quick: bool = False) -> str:
    """Measure everything; returns the report in Markdown."""
    scale = 8 if quick else 1
    retinanet = [
        (100 // scale, 168 // scale),
        (50 // scale, 84 // scale),
        (25 // scale, 42 // scale),
        (13, 21),
        (7, 11),
    ]
    rpn = [(200 // scale, 336 // scale), *retinanet[:3], (13, 21)]
    loss, objectness = loss_contestants(retinanet, 9, 80), loss_contestants(rpn, 3, 1)
    measure(loss, 3 if quick else 15)
    measure(objectness, 3 if quick else 15)
    steps = step_contestants((96, 128) if quick else (800, 1333))
    for contestants in steps.values():
        measure(contestants, 2 if quick else 5)
    anchors = [sum(h * w for h, w in sizes) * a for sizes, a in ((retinanet, 9), (rpn, 3))]
    where = (
        torch.cuda.get_device_name()
        if _DEVICE == "cuda"
        else f"{torch.get_num_threads()} threads of {platform.machine()}"
    )
    return (
        f"torch {torch.__version__}, {where}\n\n"
        + table(f"Classification loss, forward and backward: {anchors[0]:,} anchors x 80 classes", loss)
        + table(f"The same for a region proposal network: {anchors[1]:,} anchors x 1", objectness)
        + "".join(table(f"Training step of one image: {name}, ResNet-50-FPN", step) for name, step in steps.items())
        + goals(loss, steps)
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see it run")
    parser.add_argument("--write", type=Path, help="Markdown file to write the report to")
    options = parser.parse_args(argv)
    report = run(quick=options.quick)
    if options.write:
        command = "make bench" if not options.quick else "python -m sampling_free.bench --quick"
        options.write.write_text(f"# Benchmarks\n\nWritten by `{command}`; goals are the project's own.\n\n{report}")
    sys.stdout.write(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
