"""The report of a run: `report.html`, one file that opens without a network, and its figures in `analysis.json`."""

import io
import json
import os
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from sampling_free.analysis.confusion import confusion_matrix
from sampling_free.analysis.errors import KINDS, error_types
from sampling_free.analysis.matching import Findings, Ints, find
from sampling_free.analysis.mistakes import picture_of, worst_images
from sampling_free.analysis.thresholds import Curve, best_threshold, threshold_curve
from sampling_free.pictures.words import legible

_MOST_CLASSES = 30  # of a table of confusion
_GREY = "#808890"  # readable on light and on dark
_COLORS = {"precision": "#0072B2", "recall": "#009E73", "F1": "#D55E00"}


def write_report(folder: Path, truth: dict[str, Any], results: list[dict[str, Any]], image_folder: Path) -> Path:
    """Write `report.html`, `analysis.json` and `findings.npz`; returns the path of the first.

    Args:
        folder: of the run; its name is the title.
        truth: the evaluation data as the content of a COCO file.
        results: detections in COCO's result format.
        image_folder: what its file names are relative to.
    """
    findings = find(truth, results)
    summary = summarize(findings)
    findings.save(folder / "findings.npz")
    _write(folder / "analysis.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    files = {image["id"]: image_folder / image["file_name"] for image in truth["images"]}
    page = _TEMPLATES.get_template("report.html.jinja").render(
        title=folder.resolve().name,
        **_values(findings, summary),
        curve=_curve_drawing(threshold_curve(findings), summary["threshold"]),
        pictures=_pictures(findings, summary["threshold"], files),
    )
    return _write(folder / "report.html", page)


def summarize(findings: Findings) -> dict[str, Any]:
    """All figures of a report as plain values; AP in percent, shares in [0, 1]."""
    curve = threshold_curve(findings)
    threshold = best_threshold(curve)
    empty = np.setdiff1d(np.arange(len(findings.images)), findings.object_places)
    kept = (findings.scores >= threshold) & ~findings.ignored[0]
    ap = 100 * findings.average_precision
    return {
        "AP": _mean(ap),
        "AP50": _mean(ap[0]),
        "threshold": threshold,
        **_at(curve, threshold),
        "images": len(findings.images),
        "objects": int((~findings.crowds).sum()),
        "images_without_objects": len(empty),
        "false_alarms_per_image_without_objects": (
            float(kept[np.isin(findings.places, empty)].sum() / len(empty)) if len(empty) else None
        ),
        "detections": int(kept.sum()),
        "classes": {name: _class(findings, number, threshold) for number, name in enumerate(findings.categories)},
        "mistakes": error_types(findings, threshold),
        "confusion": confusion_matrix(findings, threshold).tolist(),
    }


def _class(findings: Findings, number: int, threshold: float) -> dict[str, Any]:
    curve = threshold_curve(findings, number)
    ap = 100 * findings.average_precision[:, number]
    objects = int((~findings.crowds & (findings.object_classes == number)).sum())
    figures = {"objects": objects, "AP": _mean(ap), "AP50": _mean(ap[0]), **_at(curve, threshold)}
    return figures | {"threshold": best_threshold(curve)}


def _at(curve: Curve, threshold: float) -> dict[str, float]:
    """Precision, recall and F1 of the detections from a threshold on."""
    place = int(np.searchsorted(curve.thresholds, threshold))
    if place == len(curve.thresholds):
        return {"precision": 0.0, "recall": 0.0, "F1": 0.0}
    values = {"precision": curve.precision, "recall": curve.recall, "F1": curve.f1}
    return {name: float(value[place]) for name, value in values.items()}


def _mean(values: Any) -> float | None:
    known = np.asarray(values)[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _values(findings: Findings, summary: dict[str, Any]) -> dict[str, Any]:
    """What the template shows, as words."""
    headline = [("AP", _percent(summary["AP"])), ("AP50", _percent(summary["AP50"]))]
    headline += [(name, f"{summary[key]:.2f}") for name, key in _HEADLINE.items()]
    alarms = summary["false_alarms_per_image_without_objects"]
    return {
        "data": {
            "images": summary["images"],
            "objects": summary["objects"],
            "empty_images": summary["images_without_objects"],
            "detections": len(findings.scores),
            "classes": len(findings.categories),
        },
        "figures": headline,
        "threshold": f"{summary['threshold']:.3f}",
        "classes": [_class_row(name, row, summary["objects"]) for name, row in summary["classes"].items()],
        "mistakes": [
            {
                "kind": kind,
                "number": number,
                "width": round(8 * number / max(1, *summary["mistakes"].values()), 2),
                "meaning": KINDS[kind],
            }
            for kind, number in summary["mistakes"].items()
        ],
        "background": (
            "No image is without objects, so false alarms on background were not measured."
            if alarms is None
            else f"There are {alarms:.2f} false alarms an image on the images without objects."
        ),
        "columns": [*map(legible, findings.categories), "missed"],
        "matrix": _matrix(findings.categories, np.array(summary["confusion"])),
        "most_classes": _MOST_CLASSES,
    }


_HEADLINE = {"precision": "precision", "recall": "recall", "F1": "F1", "best threshold": "threshold"}


def _class_row(name: str, row: dict[str, Any], objects: int) -> dict[str, str]:
    shares = {key.lower(): f"{row[key]:.2f}" for key in ("precision", "recall", "F1", "threshold")}
    return shares | {
        "name": legible(name),
        "objects": str(row["objects"]),
        "share": f"{row['objects'] / max(1, objects):.0%}",
        "ap": _percent(row["AP"]),
        "ap50": _percent(row["AP50"]),
    }


def _matrix(categories: list[str], counts: Ints) -> list[dict[str, Any]]:
    """Rows of the table of confusion; none for too many classes. A cell is as dark as its share of the row."""
    if len(categories) > _MOST_CLASSES:
        return []
    rows = []
    for name, row in zip([*map(legible, categories), "background"], counts, strict=True):
        shades = row / max(1, row.sum())
        cells = [
            {"count": int(count), "shade": round(0.75 * shade, 3)} for count, shade in zip(row, shades, strict=True)
        ]
        rows.append({"name": name, "cells": cells})
    return rows


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _pictures(findings: Findings, threshold: float, files: dict[Any, Path]) -> list[dict[str, str]]:
    shown = []
    for place, alarms, missed in worst_images(findings, threshold):
        file = files[findings.images[place]]
        caption = f"{legible(file.name)}: {alarms} wrong, {missed} missed"
        shown.append({"caption": caption, "address": picture_of(findings, place, file, threshold)})
    return shown


def _curve_drawing(curve: Curve, threshold: float) -> str:
    """Precision, recall and F1 over the threshold, as SVG that a page holds."""
    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "text.color": _GREY,
        "axes.labelcolor": _GREY,
        "axes.edgecolor": _GREY,
    }
    style |= {"xtick.color": _GREY, "ytick.color": _GREY, "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(style | {"svg.hashsalt": "report", "font.family": "sans-serif"}):
        figure = Figure(figsize=(8.4, 3.0), layout="constrained")
        axes = figure.subplots()
        values = {"precision": curve.precision, "recall": curve.recall, "F1": curve.f1}
        count = len(curve.thresholds)
        shown = np.unique(np.linspace(0, count - 1, min(count, 400)).astype(int))  # enough for the eye
        for name, value in values.items():
            axes.plot(curve.thresholds[shown], value[shown], color=_COLORS[name], label=name, linewidth=1.8)
        axes.axvline(threshold, color=_GREY, linewidth=1, linestyle="--")
        axes.set(xlabel="score threshold", xlim=(0, 1), ylim=(0, 1.02))
        figure.legend(loc="outside right center", frameon=False)
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = drawing.getvalue()
    return text[text.index("<svg") :]


def _write(path: Path, text: str) -> Path:
    """The file appears whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    return path


_TEMPLATES = jinja2.Environment(loader=jinja2.PackageLoader("sampling_free.analysis", ""), autoescape=True)
