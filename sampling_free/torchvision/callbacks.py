"""What Lightning's trainer lacks here: a progress bar that counts iterations, and a stop-watch."""

import resource
import statistics
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm


class IterationBar(TQDMProgressBar):
    """One bar over the run's iterations, though the data stream has no end."""

    def init_train_tqdm(self) -> Tqdm:
        """The bar, named for what it counts."""
        bar = super().init_train_tqdm()
        bar.leave = True
        return bar

    @property
    def total_train_batches(self) -> int:
        """Batches of the whole run."""
        return self.trainer.max_steps * self.trainer.accumulate_grad_batches

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """The bar starts where the run does."""
        self.train_progress_bar.reset(self.total_train_batches)
        self.train_progress_bar.initial = self.train_progress_bar.n = trainer.fit_loop.total_batch_idx + 1
        self.train_progress_bar.set_description("training")

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Without Lightning's version number."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class Stopwatch(Callback):
    """Seconds of each iteration, evaluation not counted, and the process's peak memory."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        """Start."""
        self._start = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Stop; a GPU is waited for every tenth iteration, so that its queue is timed but not slowed."""
        if torch.cuda.is_available() and trainer.global_step % 10 == 0:
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
        """Of the GPU's allocations, or of the process without one."""
        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
