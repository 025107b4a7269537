"""The pictures that a training run leaves, from plain values: first batches, detections beside ground truth, curves."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sampling_free.analysis import write_report
from sampling_free.pictures import (
    Box,
    Example,
    class_colors,
    draw_boxes,
    plot_losses,
    plot_precision_recall,
    save_examples,
    save_grid,
    write_examples,
)

IMAGES = 6  # in a row


def draw_first_batches(
    path: Path, rows: Iterable[Sequence[tuple[NDArray[np.uint8], Sequence[Box]]]], categories: Sequence[str]
) -> None:
    """The first images of the training stream, transforms applied, as the model sees them.

    Args:
        path: of the picture.
        rows: batches of (image `(H, W, 3)` RGB, its boxes).
        categories: names of all of them.
    """
    colors = class_colors(categories)
    drawn = [
        [draw_boxes(np.ascontiguousarray(image), boxes, side=320, most=960, colors=colors) for image, boxes in row]
        for row in rows
    ]
    save_grid(path, drawn)


def draw_results(folder: Path, truth: dict[str, Any], image_folder: Path) -> None:
    """Report, detections beside ground truth, precision over recall and losses of a run, and its `examples.json`.

    Args:
        folder: of the run, with its COCO result file.
        truth: the evaluation data as the content of a COCO file.
        image_folder: what its file names are relative to.
    """
    pictures = folder / "pictures"
    if (folder / "coco_results_bbox.json").is_file():
        results = json.loads((folder / "coco_results_bbox.json").read_text())
        write_report(folder, truth, results, image_folder)
        examples = _examples(results, truth, image_folder)
        write_examples(folder / "examples.json", examples)
        save_examples(pictures / "predictions.jpg", {"detections": examples})
        plot_precision_recall(pictures / "precision_recall.png", {folder.name: folder})
    if (folder / "metrics.csv").is_file():
        plot_losses(pictures / "losses.png", {folder.name: folder})


def _examples(results: list[dict[str, Any]], truth: dict[str, Any], image_folder: Path) -> list[Example]:
    """The images with the most ground truth among evenly spread ones, with the run's detections."""
    names = {category["id"]: category["name"] for category in truth["categories"]}
    objects: dict[Any, list[Box]] = {image["id"]: [] for image in truth["images"]}
    counts = dict.fromkeys(objects, 0)
    for record in truth["annotations"]:
        if record["image_id"] not in objects:  # an image that was left out
            continue
        counts[record["image_id"]] += 1
        if not record.get("iscrowd", 0):
            objects[record["image_id"]].append(Box(_corners(record["bbox"]), names[record["category_id"]]))
    detections: dict[Any, list[Box]] = {}
    for result in results:
        box = Box(_corners(result["bbox"]), names[result["category_id"]], result["score"])
        detections.setdefault(result["image_id"], []).append(box)
    images = truth["images"]
    spread = np.array_split(np.arange(len(images)), min(IMAGES, len(images)))
    chosen = [images[max(part.tolist(), key=lambda i: counts[images[i]["id"]])] for part in spread]
    return [
        Example(image_folder / image["file_name"], objects[image["id"]], detections.get(image["id"], []))
        for image in chosen
    ]


def _corners(xywh: list[float]) -> tuple[float, float, float, float]:
    x, y, width, height = xywh
    return x, y, x + width, y + height
