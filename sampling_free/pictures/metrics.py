"""The figures of a run over its iterations, from its `metrics.csv`."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sampling_free.errors import UserError


@dataclass(frozen=True)
class Curve:
    """A figure over iterations.

    Attributes:
        steps: iterations, ascending.
        values: as many.
    """

    steps: NDArray[np.float64]
    values: NDArray[np.float64]

    def __truediv__(self, other: "Curve") -> "Curve":
        """The quotient where both are known."""
        steps, mine, others = np.intersect1d(self.steps, other.steps, return_indices=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            return Curve(steps, self.values[mine] / other.values[others])

    def positive(self) -> "Curve":
        """What a logarithmic axis can show."""
        shown = np.isfinite(self.values) & (self.values > 0)
        return Curve(self.steps[shown], self.values[shown])

    def smooth(self) -> "Curve":
        """Running mean of the logarithm over a thirtieth of the run; values must be positive."""
        window = np.ones(max(1, len(self.values) // 30))
        if not len(self.values):
            return self
        weight = np.convolve(np.ones(len(self.values)), window, "same")
        return Curve(self.steps, np.exp(np.convolve(np.log(self.values), window, "same") / weight))


class Metrics:
    """What a run logged.

    Args:
        path: of its `metrics.csv`; a `result.json` beside it tells whether the run diverged.

    Attributes:
        rows: one a logged iteration; none where a run diverged before the first.
        diverged: whether it did.
        iterations: how many it finished, where it has ended.

    Raises:
        UserError: there is no such file, it has no rows, or it is no table of figures by `step`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        result = read_json(self.path.with_name("result.json"), {})
        self.diverged, self.iterations = bool(result.get("diverged")), result.get("iterations")
        self.rows = [] if self.diverged and not self.path.is_file() else self._read()
        if not self.rows and not self.diverged:
            raise UserError(f"{path} has no rows yet; wait for the run's first ones")

    def _read(self) -> list[dict[str, str]]:
        mistaken = f"is {self.path.parent} the output folder of a run?"
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                rows = list(reader)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self.path} cannot be read; {mistaken}") from error
        if "step" not in (reader.fieldnames or ["step"]):
            raise UserError(f"{self.path} has no column `step`; {mistaken}")
        return rows

    def curve(self, name: str) -> Curve:
        """A figure where it was logged; empty if it never was."""
        try:
            pairs = [(float(row["step"]), float(row[name])) for row in self.rows if row.get(name)]
        except ValueError as error:
            raise UserError(f"{self.path}: column {name} holds what is no number ({error})") from error
        steps, values = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return Curve(steps, values)

    def total(self, names: Sequence[str], *, raw: bool = False) -> Curve:
        """Sum of the losses of these names that the run has.

        Args:
            names: of losses.
            raw: as they are before any scaling, where the run logged that.
        """
        curves = [self.curve(f"raw/{name}") if raw else Curve(np.array([]), np.array([])) for name in names]
        curves = [curve if len(curve.steps) else self.curve(name) for curve, name in zip(curves, names, strict=True)]
        values: dict[float, float] = {}
        for curve in curves:
            for step, value in zip(curve.steps.tolist(), curve.values.tolist(), strict=True):
                values[step] = values.get(step, 0.0) + value
        return Curve(np.array(list(values)), np.array(list(values.values())))


def read_json(path: Path, default: dict | None = None) -> dict:
    """The content of a run's json file.

    Raises:
        UserError: it cannot be read (unless it is missing and there is a default).
    """
    if default is not None and not path.is_file():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); is {path.parent} the output folder of a run?") from error
