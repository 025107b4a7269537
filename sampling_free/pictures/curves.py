"""Curves of one run or several: losses in the manner of the papers' Fig. 2 and 3, AP, precision over recall."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sampling_free.errors import UserError

_COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442"]
_CLASSIFICATION = ("classification", "loss_classifier", "loss_objectness", "loss_cls", "loss_fcos_cls", "loss_rpn_cls")
_LOCALIZATION = ("bbox_regression", "loss_box_reg", "loss_rpn_box_reg", "loss_fcos_loc", "loss_rpn_loc")


class Metrics:
    """The figures of `metrics.csv`, by name.

    Args:
        path: of the file.

    Raises:
        UserError: there is no such file, or it has no rows.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            with Path(path).open(newline="", encoding="utf-8") as file:
                self.rows = list(csv.DictReader(file))
        except OSError as error:
            raise UserError(f"{path} cannot be read; is its folder the output of a run?") from error
        if not self.rows:
            raise UserError(f"{path} has no rows yet")
        result = Path(path).with_name("result.json")
        self.diverged = result.is_file() and bool(json.loads(result.read_text()).get("diverged"))

    def series(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Iterations and values of a figure, where it was logged."""
        pairs = [(float(row["step"]), float(row[name])) for row in self.rows if row.get(name)]
        steps, values = np.array(pairs).reshape(-1, 2).T
        return steps, values

    def total(self, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sum of the raw losses of these names that the run has."""
        found = [self.series(f"raw/{name}") for name in names]
        found = [pair for pair in found if len(pair[0])]
        if not found:
            return np.array([]), np.array([])
        return found[0][0], np.sum([values for _, values in found], axis=0)


def plot_losses(path: str | Path, runs: Mapping[str, str | Path]) -> None:
    """Classification and localisation losses as they are before any scaling, the ratio between them, and AP.

    Scaled losses would say nothing: guided scaling makes the one equal the other.

    Args:
        path: of the picture.
        runs: per name of a run its folder.
    """
    metrics = {name: Metrics(Path(folder) / "metrics.csv") for name, folder in runs.items()}
    figure = Figure(figsize=(13, 3.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for color, (name, run) in zip(_cycle(len(metrics)), metrics.items(), strict=True):
        _loss_line(left, run, _CLASSIFICATION, color, name)
        _loss_line(middle, run, _LOCALIZATION, color, name)
        steps, values = run.series("bbox/AP")
        right.plot(steps, values, color=color, marker="o", markersize=4, label=name)
    for axes, title in ((left, "classification loss, unscaled"), (middle, "localisation loss"), (right, "AP")):
        axes.set_title(title)
        axes.set_xlabel("iteration")
        axes.grid(alpha=0.25)
    left.set_yscale("log")
    middle.set_yscale("log")
    right.set_ylim(bottom=0)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(metrics)))
    _save(figure, path)


def _loss_line(axes: Axes, run: Metrics, names: Sequence[str], color: str, label: str) -> None:
    steps, values = run.total(names)
    finite = np.isfinite(values) & (values > 0)
    steps, values = steps[finite], values[finite]
    axes.plot(steps, values, color=color, alpha=0.2, linewidth=0.8)
    axes.plot(steps, _smooth(values), color=color, linewidth=1.6, label=label)
    if run.diverged and len(steps):
        axes.plot(steps[-1:], values[-1:], "x", color=color, markersize=11, markeredgewidth=2.5)


def plot_precision_recall(path: str | Path, runs: Mapping[str, str | Path]) -> None:
    """Precision over recall at IoU 0.5 and averaged over IoU 0.5 to 0.95; of a single run also each class.

    Args:
        path: of the picture.
        runs: per name of a run its folder; those without `precision_recall.json` (no detections) are left out.
    """
    curves = {
        name: json.loads(file.read_text())
        for name, folder in runs.items()
        if (file := Path(folder) / "precision_recall.json").is_file()
    }
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for color, (name, curve) in zip(_cycle(len(curves)), curves.items(), strict=True):
        for axes, key in ((left, "IoU 0.5"), (right, "mean over IoU")):
            axes.plot(curve["recall"], curve[key], color=color, label=f"{name} ({100 * np.mean(curve[key]):.1f})")
        if len(curves) == 1:
            for other, (category, values) in zip(_COLORS[1:], curve["classes at IoU 0.5"].items(), strict=False):
                left.plot(curve["recall"], values, color=other, linewidth=0.8, label=category)
    for axes, title in ((left, "IoU 0.5"), (right, "mean over IoU 0.5 to 0.95")):
        axes.set(title=title, xlabel="recall", xlim=(0, 1), ylim=(0, 1.02))
        axes.grid(alpha=0.25)
        if curves:
            axes.legend(loc="lower left", fontsize=8, title="AP in brackets", title_fontsize=8)
    left.set_ylabel("precision")
    _save(figure, path)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running mean over a thirtieth of the run; of the logarithm, as the axis shows it."""
    window = max(1, len(values) // 30)
    kernel = np.ones(window)
    weight = np.convolve(np.ones(len(values)), kernel, "same")
    return np.exp(np.convolve(np.log(values), kernel, "same") / weight) if len(values) else values


def _cycle(count: int) -> list[str]:
    return [_COLORS[i % len(_COLORS)] for i in range(count)]


def _save(figure: Figure, path: str | Path) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"font.size": 10}):
        figure.savefig(path, dpi=110)
