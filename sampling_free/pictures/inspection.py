"""One picture, and the figures, of what a data set holds. Letters: L levels, C classes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sampling_free.pictures.curves import PANEL_STYLE

_SPLITS = {"train": "#0072B2", "val": "#E69F00", "test": "#009E73"}
_OURS = "#D55E00"
_MOST_CLASSES = 15  # in a panel
_NAMES = {
    "retinanet": "RetinaNet",
    "fcos": "FCOS",
    "faster_rcnn": "Faster R-CNN's RPN",
    "atss": "ATSS",
    "paa": "PAA (candidates)",
    "foveabox": "FoveaBox",
    "yolov3": "YOLOv3",
}


@dataclass
class Inspection:
    """What was found.

    Attributes:
        title: of the picture.
        names: of the classes, by id.
        figures: per split, as `own_data.figures.Figures`.
        counts: per detector foreground `(L, C)` and examples `(L,)`; of C columns the last are those of the classes,
            in their order, and one alone where a detector knows none.
        scales: per detector what it resizes images by.
    """

    title: str
    names: Mapping[int, str]
    figures: Mapping[str, Any]
    counts: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)

    def share(self, detector: str) -> float:
        """N_f / N."""
        foreground, examples = self.counts[detector]
        return float(foreground.sum()) / float(examples.sum())

    def prior(self, detector: str) -> float:
        """N_f / (N C)."""
        return self.share(detector) / self.counts[detector][0].shape[1]

    def lines(self) -> Iterator[str]:
        """The foreground in words, a line a detector."""
        heading = f"{'N_f / N':>10s}{'1 in':>8s}{'prior':>10s}{'bias':>8s}{'threshold':>11s}"
        yield f"{'foreground':22s}{heading}   N_f / N of each level, finest first"
        for detector, (foreground, examples) in self.counts.items():
            share, prior = self.share(detector), self.prior(detector)
            levels = " ".join(
                f"{f / max(n, 1):.1e}" for f, n in zip(foreground.sum(1).tolist(), examples.tolist(), strict=True)
            )
            numbers = f"{share:10.2e}{_one_in(share):>8s}{prior:10.2e}{_bias(prior):8.2f}"
            threshold = f"{share:11.2e}" if detector != "faster_rcnn" else f"{'of scores':>11s}"
            yield f"{_NAMES[detector]:22s}{numbers}{threshold}   {levels}"

    def class_rows(self) -> list[list[Any]]:
        """A line a split and class: images, boxes, and the sides' quantiles in pixels of the median image."""
        rows: list[list[Any]] = [["split", "class", "images", "boxes", "side 5 %", "side 50 %", "side 95 %"]]
        for split, figures in self.figures.items():
            for identity, name in self.names.items():
                mine = figures.classes == identity
                sides = (
                    np.quantile(figures.sides[mine], [0.05, 0.5, 0.95]).round(1).tolist() if mine.any() else [""] * 3
                )
                rows.append([split, name, len(np.unique(figures.owners[mine])), int(mine.sum()), *sides])
        return rows

    def foreground_rows(self) -> list[list[Any]]:
        """A line a detector, level and class; "all" sums."""
        rows: list[list[Any]] = [["detector", "level", "class", "foreground", "examples", "N_f/N", "prior", "bias"]]
        for detector, (columns, examples) in self.counts.items():
            foreground = columns[:, -len(self.names) :]
            names = list(self.names.values()) if foreground.shape[1] > 1 else ["object"]
            for level, (row, total) in enumerate(zip(foreground.tolist(), examples.tolist(), strict=True)):
                rows += [
                    [detector, level, n, f, total, f / max(total, 1), "", ""] for n, f in zip(names, row, strict=True)
                ]
            share, prior = self.share(detector), self.prior(detector)
            rows.append(
                [detector, "all", "all", int(foreground.sum()), int(examples.sum()), share, prior, _bias(prior)]
            )
        return rows


def _bias(prior: float) -> float:
    return math.log(prior / (1 - prior)) if 0 < prior < 1 else -math.inf


def _one_in(share: float) -> str:
    return f"{1 / share:,.0f}" if share else "none"


def save_inspection(path: Path, inspection: Inspection) -> None:
    """Draw classes, sizes, objects an image, and the foreground of each detector by level and class."""
    with matplotlib.rc_context(PANEL_STYLE):
        figure = Figure(figsize=(14, 8.4), layout="constrained")
        figure.suptitle(_headline(inspection), fontsize=13, fontweight="bold", x=0.01, ha="left")
        panels = figure.subplots(2, 3)
        _classes(panels[0, 0], inspection)
        _sides(panels[0, 1], inspection)
        _per_image(panels[0, 2], inspection)
        _detectors(panels[1, 0], inspection)
        _levels(panels[1, 1], inspection)
        _class_levels(figure, panels[1, 2], inspection)
        handles, labels = panels[0, 0].get_legend_handles_labels()
        panels[0, 0].legend(handles, labels, frameon=False, fontsize=9)
        figure.savefig(path, dpi=120)


def _headline(inspection: Inspection) -> str:
    parts = [f"{split} {len(f.images):,} images, {len(f.boxes):,} boxes" for split, f in inspection.figures.items()]
    return f"{inspection.title}: {';  '.join(parts)}"


def _classes(axes: Axes, inspection: Inspection) -> None:
    order = sorted(inspection.names, key=lambda i: -inspection.figures["train"].per_class[i])[:_MOST_CLASSES]
    height = 0.8 / len(inspection.figures)
    for place, (split, figures) in enumerate(inspection.figures.items()):
        values = [figures.per_class[identity] for identity in order]
        axes.barh(np.arange(len(order)) + place * height, values, height, color=_SPLITS[split], label=split)
    left_out = len(inspection.names) - len(order)
    axes.set_yticks(np.arange(len(order)) + 0.4 - height / 2, [inspection.names[identity] for identity in order])
    axes.invert_yaxis()
    axes.set(title=f"boxes of each class{f', without the {left_out} rarest' if left_out else ''}", xlabel="boxes")
    axes.grid(visible=False, axis="y")


def _sides(axes: Axes, inspection: Inspection) -> None:
    sides = {split: figures.sides for split, figures in inspection.figures.items() if len(figures.boxes)}
    every = np.concatenate(list(sides.values()))
    bins = np.geomspace(max(every.min(), 1), max(every.max(), 2) * 1.01, 30).tolist()
    for split, values in sides.items():
        share = np.full(len(values), 100 / len(values))
        axes.hist(values, bins, weights=share, histtype="step", linewidth=1.8, color=_SPLITS[split])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    shorter = inspection.figures["train"].shorter
    axes.set(title="size of the boxes", xlabel=f"square root of the area, px of {shorter:.0f}", ylabel="% of the boxes")


def _per_image(axes: Axes, inspection: Inspection) -> None:
    most = max(int(np.quantile(f.per_image, 0.99)) for f in inspection.figures.values()) + 1
    step = max(1, most // 20)
    bins = (np.arange(0, most + 2 * step, step) - 0.5).tolist()
    empty = []
    for split, figures in inspection.figures.items():
        counts, share = figures.per_image.clip(max=most), np.full(len(figures.images), 100 / len(figures.images))
        axes.hist(counts, bins, weights=share, histtype="step", linewidth=1.8, color=_SPLITS[split])
        empty.append(f"{split} {int((figures.per_image == 0).sum())}")
    axes.set(
        title="objects of an image", xlabel=f"objects; images without any: {', '.join(empty)}", ylabel="% of the images"
    )


def _detectors(axes: Axes, inspection: Inspection) -> None:
    names = list(inspection.counts)
    shares, priors = [inspection.share(n) for n in names], [inspection.prior(n) for n in names]
    places = np.arange(len(names))
    axes.hlines(places, priors, shares, color="#BBBBBB", linewidth=2, zorder=1)
    axes.scatter(shares, places, color=_OURS, s=45, label="N_f / N, the score threshold", zorder=2)
    axes.scatter(priors, places, color="#0072B2", s=45, marker="D", label="prior N_f / (N C)", zorder=2)
    axes.axvline(0.01, color="#7F7F7F", linestyle=":", label="Focal Loss's prior, 0.01")
    for place, share, prior in zip(places, shares, priors, strict=True):
        note = f"1 in {_one_in(share)}, bias {_bias(prior):.1f}"
        axes.annotate(note, (max(share, prior), place), (8, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.6)
    axes.set_yticks(places, [_NAMES[name] for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set(title="how rare is the foreground?", xlabel="share of the examples")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=8.5, frameon=False)
    axes.grid(visible=False, axis="y")


def _levels(axes: Axes, inspection: Inspection) -> None:
    colors = matplotlib.colormaps["tab10"]
    for number, (detector, (foreground, examples)) in enumerate(inspection.counts.items()):
        shares = (foreground.sum(1) / examples.clamp(min=1)).tolist()
        shown = [share if share else math.nan for share in shares]
        axes.plot(range(len(shown)), shown, marker="o", markersize=4, color=colors(number), label=_NAMES[detector])
    axes.set_yscale("log")
    most = max(len(examples) for _, examples in inspection.counts.values())
    axes.set_xticks(range(most), ["finest", *map(str, range(1, most - 1)), "coarsest"][:most])
    axes.set(title="foreground by level", xlabel="level of the pyramid", ylabel="N_f / N of the level")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=8.5, frameon=False, ncols=2)


def _class_levels(figure: Figure, axes: Axes, inspection: Inspection) -> None:
    """RetinaNet's foreground, class by level, as a share of all foreground."""
    columns, examples = inspection.counts["retinanet"]
    foreground = columns[:, -len(inspection.names) :]
    order = np.argsort(-foreground.sum(0).numpy())[:_MOST_CLASSES]
    values = (foreground / examples.clamp(min=1)[:, None]).numpy()[:, order].T
    with np.errstate(divide="ignore"):
        shown = np.ma.masked_invalid(np.log10(values))
    image = axes.imshow(shown, aspect="auto", cmap="viridis")
    names = list(inspection.names.values())
    axes.set_yticks(range(len(order)), [names[place] for place in order])
    axes.set_xticks(range(len(examples)), ["finest", *map(str, range(1, len(examples) - 1)), "coarsest"])
    axes.set(title="RetinaNet, class by level", xlabel="level of the pyramid; white: none")
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, label="N_f of the class / N of the level")
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{10**value:.0e}")
