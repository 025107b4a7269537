"""The table of a comparison, from the `result.json` of each run: Markdown for reading, CSV for computing."""

import csv
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Result = Mapping[str, Any]  # the content of a result.json


@dataclass(frozen=True)
class Column:
    """One figure of the table.

    Attributes:
        title: its heading.
        digits: behind the point.
        values: per row the figure of each run that has it.
        bold: whether the largest mean is set in bold.
    """

    title: str
    digits: int
    values: list[list[float]]
    bold: bool = False

    def cells(self) -> list[str]:
        """Mean and, of several runs, standard deviation (that of a sample) of each row."""
        means = [round(statistics.fmean(values), self.digits) if values else 0.0 for values in self.values]
        best = max(means) if self.bold and len(means) > 1 else 0.0
        texts = map(self._text, self.values)
        return [f"**{text}**" if 0 < best == mean else text for text, mean in zip(texts, means, strict=True)]

    def _text(self, values: list[float]) -> str:
        if not values:
            return "n/a"
        mean = f"{statistics.fmean(values):.{self.digits}f}"
        return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{self.digits}f}"


def columns_of(rows: Mapping[str, Sequence[Result]]) -> list[Column]:
    """AP, cost and length of each row's runs; AP of those that did not diverge.

    Args:
        rows: per name the results of its runs, one a seed.
    """
    trained = [[run for run in runs if not run["diverged"]] for runs in rows.values()]
    columns = []
    for title, name in (("AP", "bbox/AP"), ("AP50", "bbox/AP50"), ("AP75", "bbox/AP75"), ("mask AP", "segm/AP")):
        values = [[run["metrics"][name] for run in runs if name in run["metrics"]] for runs in trained]
        if any(values):
            columns.append(Column(title, 1, values, bold=True))
    for title, name, digits in (
        ("s/iteration", "seconds_per_iteration", 3),
        ("peak MB", "peak_memory_mb", 0),
        ("iterations", "iterations", 0),
    ):
        values = [[run[name] for run in runs if run.get(name) is not None] for runs in rows.values()]
        columns.append(Column(title, digits, values))
    return columns


def markdown(rows: Mapping[str, Sequence[Result]]) -> str:
    """The table in Markdown."""
    columns = columns_of(rows)
    header = ["", *(column.title for column in columns), "diverged"]
    cells = zip(rows, *(column.cells() for column in columns), map(_diverged, rows.values()), strict=True)
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_csv(path: Path, rows: Mapping[str, Sequence[Result]]) -> None:
    """The same figures in full: means, standard deviations where a row has several runs, how many diverged."""
    columns = columns_of(rows)
    several = any(len(runs) > 1 for runs in rows.values())
    header = ["name", "runs", "diverged"]
    header += [title for column in columns for title in ((column.title, f"{column.title} std")[: 1 + several])]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for i, (name, runs) in enumerate(rows.items()):
            line = [name, len(runs), sum(bool(run["diverged"]) for run in runs)]
            writer.writerow(
                [*line, *(cell for column in columns for cell in _figures(column.values[i])[: 1 + several])]
            )


def _figures(values: list[float]) -> tuple[float | str, float | str]:
    if len(values) < 2:
        return (values[0] if values else "", "")
    return statistics.fmean(values), statistics.stdev(values)


def _diverged(runs: Sequence[Result]) -> str:
    count = sum(bool(run["diverged"]) for run in runs)
    if not count:
        return "no"
    return "yes" if len(runs) == 1 else f"{count} of {len(runs)}"
