"""The training stream: endless, shuffled, cut into iterations, and the same after a resume.

What iteration t trains on is a function of the seed and t alone. The stream concatenates shuffles of the data set;
iteration t takes the positions [t B, (t + 1) B) of it, B the batch over all processes, and process r the r-th slice of
those. Transforms draw their randomness from (seed, position), so neither the number of workers nor a restart matters.
So nothing needs to be saved but the number of iterations done. Where images of like shape are grouped, what an
iteration takes depends on what earlier ones left over; a start in the middle follows the stream from its beginning,
without reading an image.
"""

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

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
        groups: per item the group whose items share batches, as detectron2 groups by aspect ratio; None: all do.

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
        groups: Sequence[int] | None = None,
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
        self.groups = groups

    def __iter__(self) -> Iterator[list[Draw]]:
        own = self.total_batch_size // self.world_size
        for batch in self._plain() if self.groups is None else self._grouped(self.groups):
            yield batch[self.rank * own : (self.rank + 1) * own]

    def _plain(self) -> Iterator[list[Draw]]:
        """Batches over all processes, from the first iteration on."""
        draws = self._draws(self.start_iteration * self.total_batch_size)
        while True:
            yield [next(draws) for _ in range(self.total_batch_size)]

    def _grouped(self, groups: Sequence[int]) -> Iterator[list[Draw]]:
        """The same, each batch of one group's items, in the order in which batches fill."""
        waiting: dict[int, list[Draw]] = {}
        iteration = 0
        for draw in self._draws(0):
            batch = waiting.setdefault(groups[draw.item], [])
            batch.append(draw)
            if len(batch) == self.total_batch_size:
                del waiting[groups[draw.item]]
                iteration += 1
                if iteration > self.start_iteration:
                    yield batch

    def _draws(self, position: int) -> Iterator[Draw]:
        """The stream from a position on."""
        epoch, order = -1, [0]
        while True:
            if position // self.num_items != epoch:
                epoch = position // self.num_items
                order = self._shuffle(epoch).tolist()
            yield Draw(position, order[position % self.num_items])
            position += 1

    def _shuffle(self, epoch: int) -> Tensor:
        return torch.randperm(self.num_items, generator=torch.Generator().manual_seed(mixed_seed(self.seed, epoch)))


class Stream(Dataset):
    """A data set addressed by `Draw`, whose items draw their randomness from (seed, position)."""

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, draw: Draw) -> Any:
        with seeded(mixed_seed(self.seed + 1, draw.position)):
            return self.dataset[draw.item]


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it torch's, numpy's and Python's generators start from a seed; after it they are as before."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        seed_all(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def seed_all(seed: int) -> None:
    """Seed torch's, numpy's and Python's generators."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def mixed_seed(seed: int, number: int) -> int:
    """One seed of two numbers, spread over 63 bits (splitmix64's finaliser)."""
    value = (seed * 0x9E3779B97F4A7C15 + number + 1) & (2**64 - 1)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = ((value ^ (value >> shift)) * factor) & (2**64 - 1)
    return (value ^ (value >> 31)) >> 1
