"""The run's table of figures, `metrics.csv`: a row an iteration, complete after a resume, no row twice."""

import csv
import io
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only


class CsvLog(Logger):
    """Lightning's logger interface on one csv file.

    Columns appear as figures do; cells without a figure are empty. Lightning's own CSV logger deletes a folder's
    file when a run resumes.

    Args:
        path: of the file; an existing one is read, and `forget_after` cuts it.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.rows: dict[int, dict[str, str]] = {}
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    self.rows[int(row["step"])] = {name: value for name, value in row.items() if value}
        self.columns = list(dict.fromkeys(["step", *(name for row in self.rows.values() for name in row)]))

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
        self.rows = {number: row for number, row in self.rows.items() if number <= step}
        self._rewrite()

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The config is saved beside this file."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add figures to the row of an iteration (1-based)."""
        step = int(step or 0)
        known, new_row = step in self.rows, {name: repr(float(value)) for name, value in metrics.items()}
        new_row.pop("epoch", None)
        row = self.rows.setdefault(step, {"step": str(step)})
        row.update(new_row)
        new_columns = [name for name in row if name not in self.columns]
        self.columns += new_columns
        if known or new_columns or not self.path.is_file():
            self._rewrite()
        else:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)

    def _rewrite(self) -> None:
        """The whole file, at once or not at all."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for _, row in sorted(self.rows.items()))
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_text(text.getvalue(), encoding="utf-8")
        os.replace(partial, self.path)
