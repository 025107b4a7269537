"""The run's table of figures as Lightning logs to it."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from sampling_free.runs.figures import FigureTable


class CsvLog(Logger):
    """Lightning's logger interface on `metrics.csv`; Lightning's own CSV logger deletes a folder's file on a resume.

    Args:
        path: of the file; an existing one is read, and `forget_after` cuts it.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.table = FigureTable(path)

    @property
    def name(self) -> str:
        """Lightning's name for this log."""
        return "csv"

    @property
    def version(self) -> str:
        """There is one."""
        return ""

    @rank_zero_only
    def forget_after(self, step: int) -> None:
        """Drop rows after an iteration: they belong to a run that was cut off and goes on from there."""
        self.table.forget_after(step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The config is saved beside this file."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add figures to the row of an iteration (1-based)."""
        self.table.add(int(step or 0), {name: value for name, value in metrics.items() if name != "epoch"})
