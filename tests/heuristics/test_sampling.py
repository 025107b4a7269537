"""Biased sampling: its counts, its distribution, and torchvision's very draws."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

from sampling_free.heuristics import BiasedSampling

C = 3


def labels_of(foreground, background, ignored):
    labels = torch.tensor([i % C for i in range(foreground)] + [C] * background + [-1] * ignored)
    return labels[torch.randperm(len(labels))]


@given(st.integers(0, 60), st.integers(0, 200), st.integers(0, 20), st.integers(1, 128), st.floats(0, 1))
def test_counts(foreground, background, ignored, batch_size, fraction):
    labels = labels_of(foreground, background, ignored)
    thinned = BiasedSampling(batch_size, fraction)(labels, C)
    num_foreground = int(((thinned >= 0) & (thinned < C)).sum())
    num_background = int((thinned == C).sum())
    assert num_foreground == min(foreground, int(batch_size * fraction))
    assert num_background == min(background, batch_size - num_foreground)
    assert torch.equal(thinned[thinned >= 0], labels[thinned >= 0])


@pytest.mark.parametrize("seed", range(5))
def test_draws_what_torchvision_draws(seed):
    labels = labels_of(40, 400, 10)
    theirs = torch.where(labels < 0, -1, (labels < C).long())
    torch.manual_seed(seed)
    (foreground,), (background,) = BalancedPositiveNegativeSampler(64, 0.25)([theirs])
    torch.manual_seed(seed)
    thinned = BiasedSampling(64, 0.25)(labels, C)
    assert torch.equal((thinned >= 0) & (thinned < C), foreground.bool())
    assert torch.equal(thinned == C, background.bool())


def test_every_example_of_a_kind_is_as_likely():
    """Chi-square over many draws: 8 of 40 foreground examples, each with probability 1/5."""
    torch.manual_seed(0)
    labels, sampling = labels_of(40, 100, 0), BiasedSampling(16, 0.5)
    draws = 3000
    counts = sum((sampling(labels, C) >= 0).double() for _ in range(draws))
    for kind, share in ((labels < C, 8 / 40), (labels == C, 8 / 100)):
        observed, expected = counts[kind], draws * share
        chi_square = ((observed - expected) ** 2 / (expected * (1 - share))).sum()
        freedom = int(kind.sum()) - 1
        assert chi_square < freedom + 4 * (2 * freedom) ** 0.5


@pytest.mark.parametrize(("batch_size", "fraction"), [(0, 0.5), (16, 1.5), (16, -0.1)])
def test_impossible_settings_are_refused(batch_size, fraction):
    with pytest.raises(ValueError, match="BiasedSampling needs a batch size of at least 1"):
        BiasedSampling(batch_size, fraction)
