"""Figure of gradient shares over a run: foreground in the classification layer, classification in the backbone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sampling_free.pictures.curves import PANEL_STYLE
from sampling_free.pictures.metrics import Curve, Metrics
from sampling_free.pictures.styles import styles_of
from sampling_free.pictures.words import families, label

_FIGURES = {
    "foreground": "foreground's share of the gradient at the logits",
    "classification": "classification's share of the gradient in the backbone",
}


def plot_gradients(path: str | Path, runs: Mapping[str, str | Path]) -> bool:
    """Shares of the gradient over iterations, of the runs that logged them (`train.gradient_shares=true`).

    A two-stage detector has a line for each head.

    Args:
        path: of the picture.
        runs: per name of a run its folder.

    Returns:
        Whether any run logged them; else nothing is drawn.

    Raises:
        UserError: a folder has no figures of a run.
    """
    metrics = {name: Metrics(Path(folder) / "metrics.csv") for name, folder in runs.items()}
    found = {figure: _lines(metrics, figure) for figure in _FIGURES}
    if not any(found.values()):
        return False
    with matplotlib.rc_context(PANEL_STYLE | {"font.family": families(runs)}):
        figure = Figure(figsize=(10.5, 4.2), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (name, title) in zip(panels, _FIGURES.items(), strict=True):
            _panel(axes, found[name], dict(zip(metrics, styles_of(list(metrics)), strict=True)))
            axes.set(title=title, xlabel="iteration", ylim=(0, 1))
        lines = dict(zip(*reversed(panels[1].get_legend_handles_labels()), strict=True))
        lines |= dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
        figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=3, frameon=False)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    return True


def _lines(metrics: Mapping[str, Metrics], figure: str) -> list[tuple[str, str, Curve]]:
    """Name of the run, of the head (if it has several) and values, of each line."""
    return [
        (name, column.removeprefix("gradient/").rpartition("/")[0], run.curve(column))
        for name, run in metrics.items()
        for column in (run.rows[0] if run.rows else {})
        if column.startswith("gradient/") and column.endswith(f"/{figure}")
    ]


def _panel(axes: Axes, lines: list[tuple[str, str, Curve]], styles: Mapping[str, Mapping[str, Any]]) -> None:
    dashes = dict(zip(dict.fromkeys(head for _, head, _ in lines), ("-", "--", ":", "-."), strict=False))
    for name, head, curve in lines:
        style = {**styles[name], "linestyle": dashes.get(head, "-")}
        axes.plot(curve.steps, curve.values, color=style["color"], alpha=0.2, linewidth=0.8)
        text = label(f"{name}, {head}" if head else name)
        axes.plot(curve.steps, _running_mean(curve.values), linewidth=1.8, label=text, **style)


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Over a fifteenth of the run."""
    window = np.ones(max(1, len(values) // 15))
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
