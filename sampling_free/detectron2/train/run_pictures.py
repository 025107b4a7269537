"""The pictures that a training run leaves, of detectron2's data; see `runs.pictures`."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.structures import BitMasks, PolygonMasks, polygons_to_bitmask
from numpy.typing import NDArray

from sampling_free.detectron2.train.evaluation import truth_of
from sampling_free.pictures import Box
from sampling_free.runs.pictures import draw_first_batches, draw_results


def draw_data(folder: Path, batches: Iterable[list[dict[str, Any]]], categories: list[str]) -> None:
    """What a run will see: wrong boxes are best found before it is over.

    Args:
        folder: of the run.
        batches: of the training stream; the first two are drawn.
        categories: names of the classes.
    """
    with torch.random.fork_rng(devices=[]):  # with and without the picture the same training
        draw_first_batches(folder / "pictures" / "first_batches.jpg", _first(batches, categories), categories)


def draw(folder: Path, test_records: list[dict[str, Any]], test_name: str) -> None:
    """What a run has found: the other `pictures/` and `examples.json` of its folder.

    Args:
        folder: of the run.
        test_records: the evaluation's images.
        test_name: under which they are registered.
    """
    draw_results(folder, truth_of(test_records, test_name), Path())


def _first(batches: Iterable[list[dict[str, Any]]], names: list[str]) -> Iterator[list]:
    for batch in islice(batches, 2):
        yield [_drawable(item, names) for item in batch]


def _drawable(item: dict[str, Any], names: list[str]) -> tuple[NDArray[np.uint8], list[Box]]:
    """A mapped record; detectron2's images are BGR."""
    instances = item["instances"]
    image = item["image"].permute(1, 2, 0).numpy()[..., ::-1].astype(np.uint8)
    masks = _masks(instances, image.shape[:2])
    boxes = [
        Box(tuple(corners), names[number], mask=mask)
        for corners, number, mask in zip(
            instances.gt_boxes.tensor.tolist(), instances.gt_classes.tolist(), masks, strict=True
        )
    ]
    return image, boxes


def _masks(instances: Any, size: tuple[int, int]) -> list[NDArray[np.bool_] | None]:
    masks = instances.gt_masks if instances.has("gt_masks") else None
    if isinstance(masks, BitMasks):
        return list(masks.tensor.numpy())
    if isinstance(masks, PolygonMasks):
        return [polygons_to_bitmask(polygons, *size) for polygons in masks.polygons]
    return [None] * len(instances)
