"""The run's table of figures, `metrics.csv`: a row an iteration, complete after a resume, no row twice."""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path


class FigureTable:
    """A csv file of figures by iteration.

    Columns appear as figures do; cells without a figure are empty.

    Args:
        path: of the file; an existing one is read, and `forget_after` cuts it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rows: dict[int, dict[str, str]] = {}
        if self.path.is_file():
            self.rows = _whole_rows(self.path.read_text(encoding="utf-8", errors="replace"))
        self.columns = list(dict.fromkeys(["step", *(name for row in self.rows.values() for name in row)]))

    def forget_after(self, step: int) -> None:
        """Drop rows after an iteration: they belong to a run that was cut off and goes on from there."""
        self.rows = {number: row for number, row in self.rows.items() if number <= step}
        self._rewrite()

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Add figures to the row of an iteration (1-based)."""
        known = step in self.rows
        row = self.rows.setdefault(step, {"step": str(step)})
        row.update({name: repr(float(value)) for name, value in figures.items()})
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


def _whole_rows(text: str) -> dict[int, dict[str, str]]:
    """Rows by iteration; one that was torn off by a kill, or holds junk, is left out."""
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    header, *rows = csv.reader(line for line in lines if "\0" not in line) if lines else [[]]
    whole = {}
    for row in rows:
        cells = dict(zip(header, row, strict=False))
        if len(row) == len(header) and cells.get("step", "").isdecimal() and all(map(_is_figure, row)):
            whole[int(cells["step"])] = {name: value for name, value in cells.items() if value}
    return whole


def _is_figure(cell: str) -> bool:
    try:
        float(cell or 0)
    except ValueError:
        return False
    return True
