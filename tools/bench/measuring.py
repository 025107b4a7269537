"""Contestants that take turns, so that what disturbs one disturbs all; what counts is their ratios.

Times are medians with their quartiles. Memory is what a contestant's operators allocate at their peak, beyond what was
there before the call.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BATCH = 2 if DEVICE == "cuda" else 1  # images of a training step


@dataclass
class Contestant:
    """Something to time: a name and a call; `seconds` and `peak_mb` are filled in."""

    name: str
    call: Callable[[], Any]
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


@dataclass
class Race:
    """Contestants of one table.

    Attributes:
        title: of the table.
        contestants: the first is what the others are compared with.
        rounds: how often each runs.
    """

    title: str
    contestants: Sequence[Contestant]
    rounds: int = 15

    def run(self) -> "Race":
        """Each contestant once for warmth, once for memory, then `rounds` times in turn."""
        for contestant in self.contestants:
            for _ in range(3 if DEVICE == "cuda" else 1):
                contestant.call()
            contestant.peak_mb = _peak_memory(contestant.call)
        for _ in tqdm(range(self.rounds), desc=self.title, leave=False):
            for contestant in self.contestants:
                _synchronize()
                start = time.perf_counter()
                contestant.call()
                _synchronize()
                contestant.seconds.append(time.perf_counter() - start)
        return self

    def table(self) -> str:
        """In Markdown, with its title."""
        first = self.contestants[0]
        head = "| | median ms (quartiles) | ratio to the first | extra memory, MB |\n|---|---:|---:|---:|\n"
        return f"### {self.title}\n\n{head}{''.join(each.row(first) for each in self.contestants)}\n"

    def time_ratio(self, one: int, other: int) -> float:
        """Median time of one contestant over that of another, by their places."""
        return self.contestants[one].median / self.contestants[other].median

    def memory_ratio(self, one: int, other: int) -> float:
        """Peak memory of one contestant over that of another, by their places."""
        return self.contestants[one].peak_mb / self.contestants[other].peak_mb


@dataclass(frozen=True)
class Goal:
    """What was aimed at, and what was measured.

    Attributes:
        name: of the figure.
        value: as measured.
        limit: `value` should be at most that; at least that with `at_least`.
    """

    name: str
    value: float
    limit: float
    at_least: bool = False

    def row(self) -> str:
        """A line of the table of goals."""
        value = round(self.value, 2)  # as printed: what lies behind it is chance
        reached = value >= self.limit if self.at_least else value <= self.limit
        bound = "at least" if self.at_least else "at most"
        return f"| {self.name} | {value:.2f} | {bound} {self.limit} | {'reached' if reached else 'missed'} |\n"


def gpu_goals(host: str, retinanet: Race, faster_rcnn: Race) -> list[Goal]:
    """Of whole training steps on a GPU, sampling-free first in both races."""
    return [
        Goal(f"{host} RetinaNet step, sampling-free to focal: time", retinanet.time_ratio(0, 1), 0.9),
        Goal(f"{host} RetinaNet step, sampling-free to focal: memory", retinanet.memory_ratio(0, 1), 1.0),
        Goal(f"{host} Faster R-CNN step, sampling-free to biased: time", faster_rcnn.time_ratio(0, 1), 1.0),
        Goal(f"{host} Faster R-CNN step, sampling-free to biased: memory", faster_rcnn.memory_ratio(0, 1), 1.0),
    ]


def goals_table(goals: Sequence[Goal]) -> str:
    """In Markdown, with its title."""
    rows = "".join(goal.row() for goal in goals)
    return f"### Goals\n\n| | measured | goal | |\n|---|---:|---:|---|\n{rows}\n"


def _synchronize() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def _peak_memory(call: Callable[[], Any]) -> float:
    """Largest sum of allocations that were alive at once during a call, in MB."""
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    alive = peak = 0
    for _, size in sorted(_memory_events(profiler), key=lambda event: event[0]):
        alive += size
        peak = max(peak, alive)
    return peak / 2**20


def _memory_events(profiler: profile) -> list[tuple[int, int]]:
    """(time, bytes) of every allocation (positive) and release (negative)."""
    events: Any = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    return [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
