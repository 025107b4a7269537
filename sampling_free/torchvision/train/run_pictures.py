"""The pictures that a training run leaves, of torchvision's data; see `runs.pictures`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sampling_free.pictures import Box
from sampling_free.runs.pictures import IMAGES, draw_first_batches, draw_results
from sampling_free.torchvision.train.datasets import DetectionDataset
from sampling_free.torchvision.train.loading import train_loader


def draw_data(folder: Path, train_set: DetectionDataset, seed: int) -> None:
    """What a run will see: wrong boxes are best found before it is over."""
    with torch.random.fork_rng(devices=[]):  # with and without the picture the same training
        draw_first_batches(
            folder / "pictures" / "first_batches.jpg", _first_batches(train_set, seed), train_set.categories
        )


def draw(folder: Path, test_set: DetectionDataset) -> None:
    """What a run has found: the other `pictures/` and `examples.json` of its folder."""
    draw_results(folder, test_set.coco.dataset | {"images": _images(test_set)}, test_set.image_folder)


def _images(data: DetectionDataset) -> list[dict[str, Any]]:
    """COCO's records of the images that the data set has."""
    return [data.coco.imgs[identity] for identity in data.image_ids]


def _first_batches(data: DetectionDataset, seed: int) -> Iterator[list[tuple[NDArray[np.uint8], list[Box]]]]:
    stream = iter(train_loader(data, total_batch_size=IMAGES, seed=seed))
    for _ in range(2):
        images, targets = next(stream)
        yield [_drawable(data, image, target) for image, target in zip(images, targets, strict=True)]


def _drawable(data: DetectionDataset, image: Tensor, target: dict[str, Any]) -> tuple[NDArray[np.uint8], list[Box]]:
    names = [data.label_names[label] for label in target["labels"].tolist()]
    masks = target.get("masks", [None] * len(names))
    boxes = [
        Box(tuple(corners), name, mask=None if mask is None else mask.bool().numpy())
        for corners, name, mask in zip(target["boxes"].tolist(), names, masks, strict=True)
    ]
    return (image.permute(1, 2, 0) * 255).to(torch.uint8).numpy(), boxes
