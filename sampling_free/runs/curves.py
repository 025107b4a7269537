"""The file of a run's precision over recall, from COCO's evaluation."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_curves(folder: Path, evaluation: Any, categories: Sequence[str]) -> None:
    """Write `precision_recall.json`: precision at each recall, of all categories and of each.

    Args:
        folder: of the run.
        evaluation: a COCOeval after `accumulate()`, of boxes.
        categories: their names, in the order of the evaluation.
    """
    # thresholds of IoU, recalls, categories; all areas, most detections
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]
    curves = {
        "recall": np.asarray(evaluation.params.recThrs).tolist(),
        "mean over IoU": _curve(precision),
        "IoU 0.5": _curve(precision[:1]),
        "classes at IoU 0.5": {
            name: _curve(precision[:1, :, index : index + 1])
            for index, name in enumerate(categories)
            if precision[0, :, index].max() > -1
        },
    }
    (folder / "precision_recall.json").write_text(json.dumps(curves))


def _curve(precision: NDArray[np.floating]) -> list[float]:
    """Precision at each recall, mean over thresholds and the categories that have ground truth."""
    known = np.ma.masked_less(precision, 0)
    return known.mean(axis=(0, 2)).filled(0).tolist()
