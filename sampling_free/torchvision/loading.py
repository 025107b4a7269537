"""The training stream: endless, shuffled, cut into iterations, and the same after a resume.

What iteration t trains on is a function of the seed and t alone. The stream concatenates shuffles of the data set;
iteration t takes the positions [t B, (t + 1) B) of it, B the batch over all processes, and process r the r-th slice of
those. Transforms draw their randomness from (seed, position), so neither the number of workers nor a restart matters.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sampling_free.errors import UserError


class Draw(NamedTuple):
    """One place of the stream: its position and the item of the data set that stands there."""

    position: int
    item: int


class StreamSampler(Sampler[list[Draw]]):
    """Batches of one process, from a given iteration on, without end.

    Args:
        num_items: of the data set.
        total_batch_size: B, over all processes.
        seed: of the shuffles.
        start_iteration: the first iteration to yield (0-based).
        rank: of this process.
        world_size: number of processes.

    Raises:
        UserError: B is not a multiple of the number of processes, or the data set is empty.
    """

    def __init__(
        self,
        num_items: int,
        *,
        total_batch_size: int,
        seed: int,
        start_iteration: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if num_items < 1:
            raise UserError("the training data set is empty")
        if total_batch_size < 1 or total_batch_size % world_size:
            raise UserError(
                f"a total batch of {total_batch_size} images cannot be shared by {world_size} processes; "
                f"make dataloader.train.total_batch_size a multiple of {world_size}"
            )
        self.num_items = num_items
        self.total_batch_size = total_batch_size
        self.seed = seed
        self.start_iteration = start_iteration
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[list[Draw]]:
        own = self.total_batch_size // self.world_size
        epoch, order = -1, torch.empty(0)
        iteration = self.start_iteration
        while True:
            first = iteration * self.total_batch_size + self.rank * own
            batch = []
            for position in range(first, first + own):
                if position // self.num_items != epoch:
                    epoch = position // self.num_items
                    order = self._shuffle(epoch)
                batch.append(Draw(position, int(order[position % self.num_items])))
            yield batch
            iteration += 1

    def _shuffle(self, epoch: int) -> Tensor:
        return torch.randperm(self.num_items, generator=torch.Generator().manual_seed(mixed_seed(self.seed, epoch)))


class _Stream(Dataset):
    """A data set addressed by `Draw`."""

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, draw: Draw) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mixed_seed(self.seed + 1, draw.position))
            return self.dataset[draw.item]


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
        _Stream(dataset, seed),
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


def mixed_seed(seed: int, number: int) -> int:
    """One seed of two numbers, spread over 63 bits (splitmix64's finaliser)."""
    value = (seed * 0x9E3779B97F4A7C15 + number + 1) & (2**64 - 1)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = ((value ^ (value >> shift)) * factor) & (2**64 - 1)
    return (value ^ (value >> 31)) >> 1
