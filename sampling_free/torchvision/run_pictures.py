"""The pictures that a training run leaves: first batches, detections beside ground truth, curves."""

import json
from pathlib import Path

import numpy as np
import torch

from sampling_free.pictures import (
    Box,
    Example,
    draw_boxes,
    legend_of,
    plot_losses,
    plot_precision_recall,
    save_examples,
    save_grid,
    write_examples,
)
from sampling_free.torchvision.datasets import DetectionDataset
from sampling_free.torchvision.loading import train_loader

_IMAGES = 6


def draw(folder: Path, train_set: DetectionDataset, test_set: DetectionDataset, seed: int) -> None:
    """Write `pictures/` and `examples.json` of a run folder."""
    pictures = folder / "pictures"
    _first_batches(pictures / "first_batches.jpg", train_set, seed)
    if (folder / "coco_results_bbox.json").is_file():
        examples = _examples(folder, test_set)
        write_examples(folder / "examples.json", examples)
        save_examples(pictures / "predictions.jpg", {"detections": examples})
        plot_precision_recall(pictures / "precision_recall.png", {folder.name: folder})
    if (folder / "metrics.csv").is_file():
        plot_losses(pictures / "losses.png", {folder.name: folder})


def _first_batches(path: Path, data: DetectionDataset, seed: int) -> None:
    """The first images of the training stream, transforms applied, as the model sees them."""
    legend = legend_of(data.categories)
    rows, stream = [], iter(train_loader(data, total_batch_size=_IMAGES, seed=seed))
    for _ in range(2):
        images, targets = next(stream)
        row = []
        for image, target in zip(images, targets, strict=True):
            names = [data.label_names[label] for label in target["labels"].tolist()]
            masks = target.get("masks", [None] * len(names))
            boxes = [
                Box(tuple(corners), name, mask=None if mask is None else mask.bool().numpy())
                for corners, name, mask in zip(target["boxes"].tolist(), names, masks, strict=True)
            ]
            pixels = (image.permute(1, 2, 0) * 255).to(torch.uint8).numpy()
            row.append(draw_boxes(np.ascontiguousarray(pixels), boxes, side=260, colors=legend))
        rows.append(row)
    save_grid(path, rows, legend=legend)


def _examples(folder: Path, data: DetectionDataset) -> list[Example]:
    """The evaluation images with the most ground truth among evenly spread ones, with the run's detections."""
    names = {category["id"]: category["name"] for category in data.coco.dataset["categories"]}
    detections: dict[int, list[Box]] = {}
    for result in json.loads((folder / "coco_results_bbox.json").read_text()):
        box = Box(_corners(result["bbox"]), names[result["category_id"]], result["score"])
        detections.setdefault(result["image_id"], []).append(box)
    spread = np.array_split(np.arange(len(data)), min(_IMAGES, len(data)))
    counts = [len(data.coco.getAnnIds(identity)) for identity in data.image_ids]
    examples = []
    for chosen in (max(part.tolist(), key=counts.__getitem__) for part in spread):
        image_id = data.image_ids[chosen]
        records = data.coco.loadAnns(data.coco.getAnnIds(image_id, iscrowd=False))
        truth = [Box(_corners(record["bbox"]), names[record["category_id"]]) for record in records]
        examples.append(Example(data.image_path(chosen), truth, detections.get(image_id, [])))
    return examples


def _corners(xywh: list[float]) -> tuple[float, float, float, float]:
    x, y, width, height = xywh
    return x, y, x + width, y + height
