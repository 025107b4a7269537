"""The flow of a run, the same on every host: begin or resume, train, evaluate, finish."""

import logging
from pathlib import Path
from typing import Protocol

from omegaconf import DictConfig

from sampling_free import config
from sampling_free.errors import DivergedError, UserError
from sampling_free.runs.faults import naming_faults
from sampling_free.runs.folder import in_use, older_of, set_aside, settings_of, write_result
from sampling_free.runs.options import Options
from sampling_free.runs.stopwatch import Stopwatch

logger = logging.getLogger(__name__)

ADVICE = "lower the learning rate, lengthen the warm-up, or clip gradients (train.clip_grad)"
# a resumed run has in its checkpoint what these set at the beginning
_ONLY_AT_THE_BEGINNING = ("init_checkpoint", "prior")


class Run(Protocol):
    """What a host gives: everything that a run is made of, built and checked before the first batch."""

    @property
    def cfg(self) -> DictConfig:
        """The config."""

    @property
    def options(self) -> Options:
        """`train` of it, checked."""

    @property
    def folder(self) -> Path:
        """The folder of the run."""

    @property
    def last(self) -> Path:
        """The checkpoint that a resumed run starts from."""

    @property
    def metrics(self) -> dict[str, float]:
        """Figures of the last evaluation."""

    @property
    def stopwatch(self) -> Stopwatch:
        """Times the iterations."""

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""

    @property
    def iteration(self) -> int:
        """Iterations that are done."""

    def check(self) -> None:
        """Compare model and training data, and refuse what cannot train."""

    def load(self, weights: str | Path) -> None:
        """Load all weights of the model, to evaluate them."""

    def resume(self) -> int:
        """Take everything from `last`; returns the iterations that it has behind it."""

    def initialize(self) -> None:
        """Weights to start from, and the prior."""

    def forget_after(self, start: int) -> None:
        """Drop figures of iterations that are trained again."""

    def fit(self, start: int) -> None:
        """All iterations from one on, with evaluations and checkpoints."""

    def evaluate(self) -> dict[str, float]:
        """The metrics of the model as it is."""

    def draw_data(self) -> None:
        """A picture of the first batches."""

    def draw(self) -> None:
        """Pictures of what the run found."""


def train(run: Run, *, resume: bool) -> dict[str, float]:
    """Train, evaluating on the way; returns the last evaluation's metrics.

    Raises:
        UserError: what the user can mend, in a sentence.
        DivergedError: a loss was not finite; result.json says so, and the last checkpoint stays.
    """
    with in_use(run.folder, first=run.is_first), naming_faults(run.folder):
        run.check()
        start = _begin(run, resume=resume)
        if start >= run.options.max_iter:
            return _finish_former(run, start)
        if not start and run.is_first:
            run.draw_data()
        try:
            run.fit(start)
        except DivergedError as error:
            sentence = f"{error}{_what_is_left(run.last)}"
            _finish(run, {}, diverged=sentence)
            raise DivergedError(sentence) from error
        _finish(run, run.metrics)
        return run.metrics


def evaluate(run: Run) -> dict[str, float]:
    """Evaluate `train.init_checkpoint`, or without one the last checkpoint of the output folder."""
    with naming_faults(run.folder):
        weights = run.options.init_checkpoint or run.last
        run.load(weights)
        logger.info("evaluating %s", weights)
        metrics = run.evaluate()
        if run.is_first:
            run.draw()
        return metrics


def _begin(run: Run, *, resume: bool) -> int:
    """Weights and folder; says where the run starts, and returns that iteration."""
    start, max_iter = 0, run.options.max_iter
    if resume and run.last.is_file():
        start = run.resume()
        if start < max_iter:
            _refuse_ignored(run)
        logger.info("resuming %s at iteration %d of %d", run.last, start, max_iter)
    else:
        if resume:
            logger.info("there is no %s to resume; starting from the beginning", run.last)
        run.initialize()
    if run.is_first:
        if not start:
            set_aside(run.folder)
        run.forget_after(start)
        if start < max_iter or not (run.folder / "config.yaml").is_file():  # else nothing is trained as it says
            config.save(run.cfg, run.folder / "config.yaml")
    return start


def _refuse_ignored(run: Run) -> None:
    """Refuse another value of what only a run's beginning reads.

    Raises:
        UserError: the config has one.
    """
    former = settings_of(run.folder).get("train", {})
    for name in _ONLY_AT_THE_BEGINNING:
        value = getattr(run.options, name)
        if name in former and (former[name] or None) != (value or None):
            raise UserError(
                f"train.{name} was {former[name]!r} when the run in {run.folder} began, and --resume cannot change it "
                f"to {value!r}: it is read at the beginning alone; leave it out, or train in another train.output_dir"
            )


def _finish_former(run: Run, start: int) -> dict[str, float]:
    """Evaluate a run that has all its iterations; one that was killed after the last of them is finished."""
    done = f"{run.last} has {start} of {run.options.max_iter} iterations"
    logger.info("%s: raise train.max_iter to go on", done)
    metrics = run.evaluate()
    if not (run.folder / "result.json").is_file():
        _finish(run, metrics, iterations=start)
    return metrics


def _finish(run: Run, metrics: dict[str, float], *, iterations: int | None = None, diverged: str | None = None) -> None:
    """What a run writes when all its iterations are done, or when it cannot go on."""
    if not run.is_first:
        return
    write_result(
        run.folder,
        metrics,
        iterations=run.iteration if iterations is None else iterations,
        seconds_per_iteration=run.stopwatch.seconds_per_iteration,
        peak_memory_mb=run.stopwatch.peak_memory_mb,
        diverged=diverged,
    )
    run.draw()


def _what_is_left(last: Path) -> str:
    """Which checkpoints are from before a divergence, as the end of a sentence."""
    if not last.is_file():
        return ""
    older = older_of(last)
    spoilt = f"; its weights may be spoilt already, then copy {older} over it" if older.is_file() else ""
    return f"; {last} is from before, and --resume goes on from it{spoilt}"
