"""detectron2's hooks and writers as a run here needs them: figures complete, checkpoints that know all, a bar."""

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase, hooks
from detectron2.utils import comm
from detectron2.utils.events import (
    CommonMetricPrinter,
    EventWriter,
    JSONWriter,
    TensorboardXWriter,
    get_event_storage,
)
from torch import nn
from tqdm import tqdm

from sampling_free.detectron2.train.checkpointer import RunCheckpointer
from sampling_free.detectron2.train.options import Options
from sampling_free.mechanism import GradientShares
from sampling_free.runs.figures import FigureTable
from sampling_free.runs.stopwatch import Stopwatch

# of the machine, not of the run: they would make every table differ
_TIMINGS = {"time", "data_time", "rank_data_time", "eta_seconds"}


class Timing(HookBase):
    """Times each iteration; stands first.

    Args:
        stopwatch: that does.
    """

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.stopwatch = stopwatch

    def before_step(self) -> None:
        """Start."""
        self.stopwatch.start()

    def after_step(self) -> None:
        """Stop."""
        self.stopwatch.stop(self.trainer.iter)


class GradientShareLog(HookBase):
    """Logs shares of the gradient, as `gradient/foreground`, in the iterations that the table has.

    Args:
        model: that trains, unwrapped.
        period: iterations between rows of the table.
    """

    def __init__(self, model: nn.Module, period: int) -> None:
        self.shares = GradientShares(model)
        self.period = period

    def before_step(self) -> None:
        """Measure the step if its iteration is logged."""
        self.shares.values = {}
        if (self.trainer.iter + 1) % self.period == 0:
            self.shares.ask()

    def after_step(self) -> None:
        """Log what was found."""
        for name, value in self.shares.values.items():
            get_event_storage().put_scalar(f"gradient/{name}", value, smoothing_hint=False)


class BestCheckpointer(hooks.BestCheckpointer):
    """detectron2's, which remembers over a resume what was the best; stands after the evaluation."""

    def state_dict(self) -> dict[str, Any]:
        """The best figure and its iteration."""
        return {"best_metric": self.best_metric, "best_iter": self.best_iter}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self.best_metric, self.best_iter = state_dict["best_metric"], state_dict["best_iter"]


class LastCheckpointer(hooks.PeriodicCheckpointer):
    """`last.pth`, to resume from, every so many iterations and at the end; stands last, and so knows all of them.

    What happened in an iteration (evaluation, the best checkpoint, its row in the table) is done when it is written: a
    resumed run neither evaluates twice nor forgets which AP was the best.
    """

    def step(self, iteration: int, **extra: Any) -> None:
        """Write it where it is time; the last iteration's waits for the evaluation."""
        if self.period > 0 and (iteration + 1) % self.period == 0 and iteration + 1 < self.trainer.max_iter:
            self.checkpointer.save("last", iteration=iteration)

    def after_train(self) -> None:
        """Write it when all iterations are done."""
        self.checkpointer.save("last", iteration=self.trainer.max_iter - 1)


class BeforeEvaluation(HookBase):
    """Writes `last.pth` before the last iteration is evaluated: what that meets must not cost the training.

    Args:
        checkpointer: of the run.
    """

    def __init__(self, checkpointer: RunCheckpointer) -> None:
        self.checkpointer = checkpointer

    def after_step(self) -> None:
        """Write it after the last iteration."""
        if self.trainer.iter + 1 == self.trainer.max_iter:
            self.checkpointer.save("last", iteration=self.trainer.iter)


class PeriodicWriter(hooks.PeriodicWriter):
    """detectron2's, which also writes where an iteration was evaluated.

    Args:
        writers: to be told.
        period: iterations between writes.
        eval_period: iterations between evaluations, or 0.
    """

    def __init__(self, writers: list[EventWriter], period: int, eval_period: int) -> None:
        super().__init__(writers, period)
        self.eval_period = eval_period

    def after_step(self) -> None:
        """Write what is new."""
        evaluated = self.eval_period > 0 and (self.trainer.iter + 1) % self.eval_period == 0
        if evaluated and (self.trainer.iter + 1) % self._period:
            for writer in self._writers:
                writer.write()
        super().after_step()


class TableWriter(EventWriter):
    """Writes `metrics.csv`: figures as they were in an iteration, not smoothed.

    Args:
        table: that it fills.
        period: iterations between rows; between them only what evaluation found is written.
        max_iter: iterations of the run.
    """

    def __init__(self, table: FigureTable, period: int, max_iter: int) -> None:
        self.table = table
        self.period = period
        self.max_iter = max_iter
        self._written = -1

    def write(self) -> None:
        """Rows of what is new in detectron2's event storage."""
        rows: dict[int, dict[str, float]] = defaultdict(dict)
        for name, (value, iteration) in get_event_storage().latest().items():
            # 1-based; what is computed after the last iteration belongs to it
            step = min(iteration + 1, self.max_iter)
            due = step % self.period == 0 or step == self.max_iter or "/AP" in name
            if iteration > self._written and name not in _TIMINGS and due:
                rows[step][name] = value
        for step, figures in sorted(rows.items()):
            self.table.add(step, figures)
        self._written = get_event_storage().iter


class Bar(EventWriter):
    """A progress bar on a terminal.

    Args:
        start: iterations that were done before.
        max_iter: iterations of the run.
    """

    def __init__(self, start: int, max_iter: int) -> None:
        self.bar = tqdm(initial=start, total=max_iter, desc="training", file=sys.stderr, dynamic_ncols=True)

    def write(self) -> None:
        """Move on, and show the losses."""
        storage = get_event_storage()
        shown = {name: f"{value:.3g}" for name, (value, _) in storage.latest().items() if _is_shown(name)}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(min(storage.iter + 1, self.bar.total) - self.bar.n)

    def close(self) -> None:
        """End the bar's line."""
        self.bar.close()


def _is_shown(name: str) -> bool:
    return name.startswith("loss_") or name.endswith("ratio") or name == "bbox/AP"


def forget_after(file: Path, start: int) -> None:
    """Drop the lines of `metrics.json`, which detectron2 appends to, that a resumed run writes again."""
    if file.is_file():
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join(line for line in lines if _iteration(line) < start), encoding="utf-8")


def _iteration(line: str) -> float:
    try:
        return json.loads(line)["iteration"]
    except (ValueError, KeyError):  # cut off in the middle
        return float("inf")


def hooks_of(
    options: Options,
    model: nn.Module,
    stopwatch: Stopwatch,
    schedule: Any,
    evaluate: Callable[[], dict[str, float]],
    checkpointer: RunCheckpointer,
    writers: list[EventWriter],
) -> list[HookBase]:
    """The hooks of a run, in an order in which each knows what those before it did.

    Args:
        options: `train` of the config.
        model: that trains, unwrapped.
        stopwatch: times the iterations.
        schedule: of the learning rate.
        evaluate: returns the model's metrics.
        checkpointer: of the run.
        writers: of figures; may be filled later.
    """
    chosen: list[Any] = [
        Timing(stopwatch),
        hooks.IterationTimer(),
        hooks.LRScheduler(scheduler=schedule),
        hooks.EvalHook(options.eval_period, evaluate),
    ]
    if options.gradient_shares:
        chosen.append(GradientShareLog(model, options.log_period))
    if comm.is_main_process():
        # before the evaluation of the last iteration, which must not cost the training, and after it
        chosen.insert(3, BeforeEvaluation(checkpointer))
        chosen += [
            BestCheckpointer(options.eval_period, checkpointer, "bbox/AP", file_prefix="best"),
            PeriodicWriter(writers, options.log_period, options.eval_period),
            LastCheckpointer(checkpointer, options.checkpoint_period),
        ]
    return chosen


def writers_of(options: Options, folder: Path, table: FigureTable, start: int) -> list[EventWriter]:
    """What writes the figures of a run, from an iteration on: terminal, `metrics.csv`, `metrics.json`, TensorBoard."""
    speaking = Bar(start, options.max_iter) if sys.stderr.isatty() else CommonMetricPrinter(options.max_iter)
    return [
        speaking,
        TableWriter(table, options.log_period, options.max_iter),
        JSONWriter(str(folder / "metrics.json")),
        TensorboardXWriter(str(folder / "tensorboard")),
    ]
