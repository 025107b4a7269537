"""The training stream and the evaluation's images as batches of torchvision's detectors; see `runs.stream`."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sampling_free.runs.stream import Stream, StreamSampler


def train_loader(
    dataset: Dataset,
    *,
    total_batch_size: int,
    seed: int = 0,
    num_workers: int = 0,
    start_iteration: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader:
    """Endless batches `(images, targets)`, two lists, of one process; see `StreamSampler`."""
    sampler = StreamSampler(
        len(dataset),  # type: ignore[arg-type]
        total_batch_size=total_batch_size,
        seed=seed,
        start_iteration=start_iteration,
        rank=rank,
        world_size=world_size,
    )
    return DataLoader(
        Stream(dataset, seed),
        batch_sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def test_loader(
    dataset: Dataset, *, batch_size: int = 1, num_workers: int = 0, rank: int = 0, world_size: int = 1
) -> DataLoader:
    """Every item once, in order, as batches `(images, targets)`; process r takes every r-th item."""
    share = torch.utils.data.Subset(dataset, range(rank, len(dataset), world_size))  # type: ignore[arg-type]
    return DataLoader(share, batch_size=batch_size, num_workers=num_workers, collate_fn=collate)


def collate(items: list[tuple[Tensor, dict[str, Any]]]) -> tuple[list[Tensor], list[dict[str, Any]]]:
    """Two lists: images differ in size, so they are not stacked."""
    images, targets = zip(*items, strict=True)
    return list(images), list(targets)
