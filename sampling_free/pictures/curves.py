"""Curves of one run or several: losses in the manner of the papers' Fig. 2 and 3, AP, precision over recall."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, FuncFormatter, MaxNLocator, NullFormatter

from sampling_free.pictures.metrics import Curve, Metrics
from sampling_free.pictures.styles import styles_of
from sampling_free.pictures.words import families, label

_CLASS_COLORS = ["#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31"]
_CLASSIFICATION = ("classification", "loss_classifier", "loss_objectness", "loss_cls", "loss_fcos_cls", "loss_rpn_cls")
_LOCALIZATION = ("bbox_regression", "loss_box_reg", "loss_rpn_box_reg", "loss_fcos_loc", "loss_rpn_loc")
PANEL_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}


def plot_losses(path: str | Path, runs: Mapping[str, str | Path]) -> None:
    """Both losses as they are before any scaling, their balance as trained, and AP; a cross where a run diverged.

    Scaled losses by themselves would say nothing: guided scaling makes the one as large as the other.

    Args:
        path: of the picture.
        runs: per name of a run its folder.

    Raises:
        UserError: a folder has no figures of a run.
    """
    metrics = {name: Metrics(Path(folder) / "metrics.csv") for name, folder in runs.items()}
    with matplotlib.rc_context(PANEL_STYLE | {"font.family": families(runs)}):
        figure = Figure(figsize=(10.5, 7.2), layout="constrained")
        (upper_left, upper_right), (lower_left, lower_right) = figure.subplots(2, 2)
        _loss_panel(upper_left, metrics, lambda run: run.total(_CLASSIFICATION, raw=True))
        _loss_panel(upper_right, metrics, lambda run: run.total(_LOCALIZATION, raw=True))
        _loss_panel(lower_left, metrics, lambda run: run.total(_CLASSIFICATION) / run.total(_LOCALIZATION))
        lower_left.axhline(1, color="black", linewidth=0.8, linestyle=":", zorder=0)
        for style, run in zip(styles_of(list(metrics)), metrics.values(), strict=True):
            average_precision = run.curve("bbox/AP")
            lower_right.plot(average_precision.steps, average_precision.values, marker="o", markersize=4, **style)
        upper_left.set_title("classification loss, before scaling")
        upper_right.set_title("localisation loss")
        lower_left.set_title("balance: classification as trained / localisation")
        lower_right.set_title("AP")
        lower_right.set_ylim(bottom=0)
        _iteration_axes((upper_left, upper_right, lower_left, lower_right))
        handles, labels = upper_left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        _save(figure, path)


def _loss_panel(axes: Axes, runs: Mapping[str, Metrics], figure_of: Callable[[Metrics], Curve]) -> None:
    """Draw each run's values as a thin line and their running mean on top, on a logarithmic scale."""
    axes.set_yscale("log")
    curves = {name: figure_of(run).positive() for name, run in runs.items()}
    largest = [curve.values.max() for name, curve in curves.items() if len(curve.steps) and not runs[name].diverged]
    # a run on its way to infinity must not press all others flat
    ceiling = 100 * max(largest) if largest else np.inf
    for style, (name, run) in zip(styles_of(list(runs)), runs.items(), strict=True):
        color = style["color"]
        curve = Curve(curves[name].steps, curves[name].values.clip(max=ceiling))
        smooth = curve.smooth()
        text = label(f"{name} (diverged after iteration {run.iterations})" if run.diverged else name)
        axes.plot(curve.steps, curve.values, color=color, alpha=0.2, linewidth=0.8)
        axes.plot(smooth.steps, smooth.values, linewidth=1.8, label=text, **style)
        if run.diverged:
            axes.plot(smooth.steps[-1:], smooth.values[-1:], "X", color=color, markersize=11, markeredgecolor="white")


def _iteration_axes(panels: Sequence[Axes]) -> None:
    """The same iterations below each panel, and plain numbers beside it."""
    last = max((axes.dataLim.x1 for axes in panels if np.isfinite(axes.dataLim.x1)), default=1.0)
    for axes in panels:
        axes.set_xlabel("iteration")
        axes.set_xlim(0, 1.03 * last)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        if axes.get_yscale() == "log":
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            low, high = axes.get_ylim()
            axes.yaxis.set_minor_formatter(_between_powers_of_ten(high / low))


def _between_powers_of_ten(span: float) -> Formatter:
    """Labels of a logarithmic axis between its powers of ten: the more, the fewer powers of ten it spans."""
    if span > 100:
        return NullFormatter()
    digits = "1235" if span > 5 else "123456789"
    return FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in digits else "")


def plot_precision_recall(path: str | Path, runs: Mapping[str, str | Path]) -> None:
    """Precision over recall at IoU 0.5 and averaged over IoU 0.5 to 0.95; of a single run also each class.

    Args:
        path: of the picture.
        runs: per name of a run its folder; those without `precision_recall.json` (no detections) are said to be so.
    """
    files = {name: Path(folder) / "precision_recall.json" for name, folder in runs.items()}
    known = {name: json.loads(file.read_text()) if file.is_file() else None for name, file in files.items()}
    classes = [name for curves in known.values() if curves for name in curves["classes at IoU 0.5"]]
    with matplotlib.rc_context(PANEL_STYLE | {"font.family": families([*runs, *classes])}):
        figure = Figure(figsize=(10.5, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for style, (name, curves) in zip(styles_of(list(known)), known.items(), strict=True):
            _precision_line(left, curves, "IoU 0.5", style, name)
            _precision_line(right, curves, "mean over IoU", style, name)
            if curves is not None and len(known) == 1:
                _class_lines(left, curves)
        for axes, title in ((left, "IoU 0.5"), (right, "mean over IoU 0.5 to 0.95")):
            axes.set(title=title, xlabel="recall", xlim=(0, 1), ylim=(0, 1.02))
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=8.5, title="AP", frameon=False)
        left.set_ylabel("precision")
        _save(figure, path)


def _precision_line(axes: Axes, curves: Mapping | None, key: str, style: Mapping[str, Any], name: str) -> None:
    if curves is None:
        axes.plot([], [], label=f"{label(name)}  no detections", **style)
        return
    axes.plot(curves["recall"], curves[key], linewidth=2, label=f"{label(name)}  {_area(curves[key])}", **style)


def _class_lines(axes: Axes, curves: Mapping) -> None:
    classes = curves["classes at IoU 0.5"]
    if len(classes) > len(_CLASS_COLORS):  # a bundle of lines says more than colours that repeat
        for values in classes.values():
            axes.plot(curves["recall"], values, color="gray", alpha=0.35, linewidth=0.7)
        return
    for color, (category, values) in zip(_CLASS_COLORS, classes.items(), strict=False):
        axes.plot(curves["recall"], values, color=color, linewidth=1, label=f"{label(category)}  {_area(values)}")


def _area(precision: Sequence[float]) -> str:
    return f"{100 * np.mean(precision):.1f}"


def _save(figure: Figure, path: str | Path) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
