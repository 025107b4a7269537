"""The pictures of a comparison of runs: one figure of curves and one of detections for each detector."""

import re
from collections.abc import Mapping
from pathlib import Path

from sampling_free.pictures.curves import plot_losses, plot_precision_recall
from sampling_free.pictures.examples import read_examples, save_examples
from sampling_free.pictures.metrics import read_json
from sampling_free.pictures.styles import method_of, panels_of


def save_comparison(output: Path, folders: Mapping[str, Path]) -> list[Path]:
    """Draw curves, precision over recall and detections of a comparison.

    Args:
        output: folder of the pictures.
        folders: per row, named `METHOD` or `DETECTOR, METHOD`, the folder of one of its runs. Detections are shown of
            a detector's first row and of its last one: the own form first, what is compared with it last.

    Returns:
        The pictures.

    Raises:
        UserError: a folder has no figures of a run.
    """
    written = []
    for figure, names in panels_of(folders).items():
        suffix = "".join(f"-{word}" for word in re.findall(r"[a-z0-9]+", figure.lower()))
        rows = {name: folders[name] for name in names}
        for draw, kind in ((plot_losses, "losses"), (plot_precision_recall, "precision_recall")):
            written.append(output / f"{kind}{suffix}.png")
            draw(written[-1], {method_of(name): folder for name, folder in rows.items()})
        path = output / f"detections{suffix}.jpg"
        found = [name for name in names if (folders[name] / "examples.json").is_file()]
        if found and _save_detections(path, {name: rows[name] for name in dict.fromkeys((found[0], found[-1]))}):
            written.append(path)
    return written


def _save_detections(path: Path, rows: Mapping[str, Path]) -> bool:
    """Draw the detections of rows that saw the same images; whether there is such a picture."""
    runs = {}
    for name, folder in rows.items():
        metrics = read_json(folder / "result.json", {}).get("metrics", {})
        ap = f", {metrics['bbox/AP']:.1f} AP" if "bbox/AP" in metrics else ""
        runs[method_of(name) + ap] = read_examples(folder / "examples.json")
    if len({tuple(example.path for example in run) for run in runs.values()}) > 1:
        return False
    save_examples(path, runs)
    return True
