import itertools
import random

import numpy as np
import pytest
import torch

from sampling_free.errors import UserError
from sampling_free.runs.stream import Draw, Stream, StreamSampler, mixed_seed

NUM_ITEMS = 7
GROUPS = [0, 1, 0, 0, 1, 1, 0]


def batches(count, **options):
    options = {"num_items": NUM_ITEMS, "total_batch_size": 4, "seed": 3} | options
    return list(itertools.islice(StreamSampler(options.pop("num_items"), **options), count))


def test_each_epoch_has_every_item_once_in_an_order_of_its_own():
    draws = list(itertools.chain(*batches(7)))
    assert [draw.position for draw in draws] == list(range(28))
    epochs = [[draw.item for draw in draws[i : i + NUM_ITEMS]] for i in range(0, 28, NUM_ITEMS)]
    assert all(sorted(epoch) == list(range(NUM_ITEMS)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert batches(7, seed=4) != batches(7)


def test_groups_are_those_of_a_loop_over_the_stream():
    stream = itertools.chain(*batches(100))
    expected, waiting = [], {0: [], 1: []}
    for draw in stream:
        waiting[GROUPS[draw.item]].append(draw)
        for group in waiting:
            if len(waiting[group]) == 4:
                expected.append(waiting[group])
                waiting[group] = []
    assert batches(60, groups=GROUPS) == expected[:60]
    assert all(len({GROUPS[draw.item] for draw in batch}) == 1 for batch in expected)


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_a_start_in_the_middle_goes_on_as_if_from_the_beginning(groups):
    whole = batches(20, groups=groups)
    for start in (1, 6, 13):
        assert batches(20 - start, groups=groups, start_iteration=start) == whole[start:]


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_processes_share_the_batches_of_one(groups):
    ranks = [batches(10, groups=groups, rank=rank, world_size=2) for rank in range(2)]
    assert [a + b for a, b in zip(*ranks, strict=True)] == batches(10, groups=groups)


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(UserError, match="a total batch of 4 images cannot be shared by 3 processes"):
        batches(1, world_size=3)
    with pytest.raises(UserError, match="the training data set is empty"):
        batches(1, num_items=0)


class Noise(torch.utils.data.Dataset):
    def __getitem__(self, item):
        return item, torch.rand(()).item(), np.random.rand(), random.random()


def test_randomness_belongs_to_the_position_and_leaves_no_trace():
    stream = Stream(Noise(), seed=5)
    before = torch.rand(()).item(), np.random.rand(), random.random()
    first = stream[Draw(3, 1)]
    torch.rand(2), np.random.rand(2), random.random()
    assert stream[Draw(3, 1)] == first
    others = [stream[Draw(4, 1)], Stream(Noise(), seed=6)[Draw(3, 1)]]
    assert all(a != b for other in others for a, b in zip(other[1:], first[1:], strict=True))
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    assert (torch.rand(()).item(), np.random.rand(), random.random()) == before
    states = torch.get_rng_state(), np.random.get_state()[2], random.getstate()
    stream[Draw(5, 2)]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[2], random.getstate()) == states[1:]


def test_mixed_seeds_differ():
    assert len({mixed_seed(seed, number) for seed in range(50) for number in range(50)}) == 2500
    assert all(0 <= mixed_seed(seed, 0) < 2**63 for seed in range(50))
