"""Measure the time of an iteration and the memory of a run."""

import resource
import statistics
import time

import torch


class Stopwatch:
    """Seconds of each iteration, evaluation not counted, and the process's peak memory."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def start(self) -> None:
        """An iteration begins."""
        self._start = time.perf_counter()

    def stop(self, iteration: int) -> None:
        """It ends; a GPU is waited for every tenth iteration, so that its queue is timed but not slowed."""
        if torch.cuda.is_available() and iteration % 10 == 0:
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - self._start)

    @property
    def seconds_per_iteration(self) -> float | None:
        """Median, without the first few, which set things up; on a GPU the mean, whose queue medians misjudge."""
        seconds = self.seconds[5:] or self.seconds
        if not seconds:
            return None
        return statistics.fmean(seconds) if torch.cuda.is_available() else statistics.median(seconds)

    @property
    def peak_memory_mb(self) -> float:
        """The peak of the GPU's allocations in MiB; without a GPU, the peak of the process."""
        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
