"""What Lightning's trainer lacks here: a bar that counts iterations, a stop-watch, and checkpoints safe from a kill."""

import sys
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from sampling_free.errors import DivergedError
from sampling_free.mechanism import GradientShares
from sampling_free.runs.flow import ADVICE
from sampling_free.runs.folder import older_of, save_whole
from sampling_free.runs.stopwatch import Stopwatch


class IterationBar(TQDMProgressBar):
    """One bar over the run's iterations, though the data stream has no end."""

    def init_train_tqdm(self) -> Tqdm:
        """The bar, on standard error: standard output is for results."""
        return self._bar("training")

    def init_validation_tqdm(self) -> Tqdm:
        """A second bar below it that goes when the evaluation is done; none in a log file."""
        return self._bar("evaluating", position=1, leave=False, disable=not sys.stderr.isatty())

    def _bar(self, name: str, *, disable: bool = False, **options: Any) -> Tqdm:
        disable = disable or self.is_disabled
        return Tqdm(desc=name, disable=disable, dynamic_ncols=True, file=sys.stderr, smoothing=0, **options)

    @property
    def total_train_batches(self) -> int:
        """Batches of the whole run."""
        return self.trainer.max_steps * self.trainer.accumulate_grad_batches

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """The bar starts where the run does."""
        self.train_progress_bar.reset(self.total_train_batches)
        self.train_progress_bar.initial = self.train_progress_bar.n = trainer.fit_loop.total_batch_idx + 1
        self.train_progress_bar.set_description("training")

    def on_exception(self, *_: Any) -> None:
        """End the bar's line, so that what is said next starts on its own."""
        for bar in (self._val_progress_bar, self._train_progress_bar):
            if bar is not None:
                bar.close()

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Without Lightning's version number."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class Timing(Callback):
    """Times each iteration."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.stopwatch = stopwatch

    def on_train_batch_start(self, *_: Any) -> None:
        """Start."""
        self.stopwatch.start()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Stop."""
        self.stopwatch.stop(trainer.global_step)


class GradientShareLog(Callback):
    """Logs shares of the gradient, as `gradient/foreground`, in the iterations that the log has.

    Args:
        period: iterations between rows of the log.
    """

    def __init__(self, period: int) -> None:
        self.period = period

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen to the model."""
        self.shares = GradientShares(cast(nn.Module, pl_module.model))

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Measure the batch if its iteration is logged."""
        if (trainer.global_step + 1) % self.period == 0:
            self.shares.values = {}
            self.shares.ask()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Log what was found."""
        pl_module.log_dict({f"gradient/{name}": value for name, value in self.shares.values.items()}, batch_size=1)


class Patience(EarlyStopping):
    """Lightning's, whose patience is the config's also in a resumed run."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What was saved, but for the patience."""
        super().load_state_dict(state_dict | {"patience": self.patience})


class Checkpoints(Callback):
    """`last.ckpt`, to resume from, and `best.ckpt`, of the highest bbox/AP; also evaluates the last iteration.

    Where an iteration is evaluated, `last.ckpt` is written after that: a resumed run then knows of it, and neither
    evaluates twice nor forgets which AP was the best. The last iteration's is written before its evaluation, too.
    Stands last among the callbacks, whose state it saves.

    Args:
        folder: where the files lie.
        period: iterations between writes of `last.ckpt`; 0: only at the end.
        eval_period: iterations between evaluations.
    """

    def __init__(self, folder: Path, *, period: int, eval_period: int) -> None:
        self.folder = folder
        self.period = period
        self.eval_period = eval_period
        self.best = -1.0

    def state_dict(self) -> dict[str, Any]:
        """The best AP so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The best AP so far."""
        self.best = state_dict["best"]

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Write `last.ckpt` if it is time and no evaluation follows."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        evaluates = trainer.global_step % self.eval_period == 0
        if trainer.global_step == trainer.max_steps and not evaluates:
            trainer.should_stop = evaluates = True  # before it stops, the trainer evaluates
        if trainer.global_step == trainer.max_steps:
            self._save(trainer, "last")  # what the evaluation meets must not cost the training
        if not evaluates and self._due(trainer):
            self._save(trainer, "last")

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        """Write what this evaluation, or the iteration before it, calls for."""
        if trainer.state.fn != "fit":
            return
        average_precision = float(trainer.callback_metrics["bbox/AP"])
        if average_precision > self.best:
            self.best = average_precision
            self._save(trainer, "best")
        if self._due(trainer) or trainer.should_stop or trainer.global_step == trainer.max_steps:
            self._save(trainer, "last")

    def _due(self, trainer: Trainer) -> bool:
        return self.period > 0 and trainer.global_step % self.period == 0

    def _save(self, trainer: Trainer, name: str) -> None:
        """Write a checkpoint, unless its weights are beyond hope: those of the one before are not.

        Raises:
            DivergedError: a weight is not finite.
        """
        wrong = [name for name, weight in trainer.lightning_module.named_parameters() if not weight.isfinite().all()]
        if wrong:
            raise DivergedError(
                f"training diverged: after iteration {trainer.global_step} weights are not finite, "
                f"{wrong[0].removeprefix('model.')} first; {ADVICE}"
            )
        trainer.save_checkpoint(self.folder / f"{name}.ckpt")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a file beside the old one and then renames it: a process killed while writing leaves the old one whole.

    Lightning's own goes through the system's temporary folder, and from there to another disk a move is a copy.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`, at once or not at all; the last but one of a run is kept."""
        path, step = Path(path), checkpoint.get("global_step")
        keep_as = older_of(path) if path.stem == "last" and step != self._step else None
        save_whole(checkpoint, path, keep_as=keep_as)
        self._step = step if path.stem == "last" else self._step

    _step: Any = None  # of the last checkpoint; the same iteration may be written before and after its evaluation
