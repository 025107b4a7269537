"""Counts, what follows from them, and the estimate of their error."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sampling_free.mechanism import ForegroundNormalizer, ForegroundStatistics, bias_of_prior, initialize_bias


def test_counts_by_hand():
    statistics = ForegroundStatistics(0, 0, 3)
    statistics.update(torch.tensor([[0, 2, 3, 3, -1], [3, 3, 3, -1, -1]]))
    statistics.update(torch.tensor([1, 3, 3, 3]))
    assert (statistics.num_foreground, statistics.num_examples, statistics.num_images) == (3, 11, 3)
    assert statistics.prior == pytest.approx(3 / (11 * 3))
    assert statistics.score_threshold == pytest.approx(3 / 11)


@given(st.integers(1, 10**9), st.integers(0, 10**12), st.integers(1, 2000))
def test_the_bias_gives_back_the_prior(foreground, background, classes):
    statistics = ForegroundStatistics(foreground, foreground + background, classes)
    if statistics.prior < 1:
        assert 1 / (1 + np.exp(-np.float64(statistics.bias))) == pytest.approx(statistics.prior, rel=1e-6)


def test_standard_error_against_repeated_draws():
    """Draw the same population many times: the spread of the priors is what the estimate says."""
    generator = np.random.default_rng(0)

    def draw():
        statistics = ForegroundStatistics(0, 0, 1)
        for _ in range(200):
            size = int(generator.integers(50, 150))
            foreground = int(generator.poisson(5 * generator.gamma(2)))
            statistics.update(torch.tensor([0] * min(foreground, size) + [1] * max(0, size - foreground)))
        return statistics

    draws = [draw() for _ in range(150)]
    priors = np.array([statistics.prior for statistics in draws])
    estimates = np.array([statistics.standard_error for statistics in draws])
    assert estimates.mean() == pytest.approx(priors.std() / priors.mean(), rel=0.15)


def test_standard_error_of_bare_counts_is_a_poisson_count_s():
    assert ForegroundStatistics(2500, 10**6, 80).standard_error == pytest.approx(0.02)


def test_saves_and_loads():
    statistics = ForegroundStatistics(0, 0, 2)
    statistics.update(torch.tensor([[0, 2, 2], [1, 1, 2]]))
    copy = ForegroundStatistics(0, 0, 2)
    copy.load_state_dict(statistics.state_dict())
    assert (copy.prior, copy.standard_error) == (statistics.prior, statistics.standard_error)
    assert copy.half().prior == statistics.prior  # counts are integers: no cast loses them


def test_no_foreground_is_said():
    statistics = ForegroundStatistics(0, 0, 2)
    statistics.update(torch.tensor([[2, 2, -1]]))
    with pytest.raises(ValueError, match="no foreground among 2 examples of 1 images"):
        _ = statistics.prior


@pytest.mark.parametrize("counts", [(5, 4, 1), (-1, 4, 1), (1, 4, 0)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="expected 0 <= num_foreground <= num_examples"):
        ForegroundStatistics(*counts)


@pytest.mark.parametrize("layer", [torch.nn.Conv2d(4, 6, 3), torch.nn.Linear(4, 6)])
def test_initialize_bias_touches_the_bias_alone(layer):
    weight = layer.weight.clone()
    initialize_bias(layer, ForegroundStatistics(1, 1000, 10))
    assert torch.equal(layer.weight, weight)
    torch.testing.assert_close(layer.bias.sigmoid(), torch.full((6,), 1e-4))


def test_a_layer_without_bias_is_refused():
    with pytest.raises(ValueError, match="Linear has no bias"):
        initialize_bias(torch.nn.Linear(2, 2, bias=False), ForegroundStatistics(1, 10, 1))


@pytest.mark.parametrize("prior", [0, 1, -0.1, float("nan")])
def test_a_prior_is_a_probability(prior):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        bias_of_prior(prior)


def test_normalizer_keeps_a_background_batch_at_its_usual_weight():
    normalizer = ForegroundNormalizer(initial=100)
    for _ in range(60):
        assert normalizer(torch.tensor(40)) == 40
    assert normalizer(torch.tensor(0)) == pytest.approx(40, rel=0.01)
    normalizer.eval()
    before = normalizer.running.clone()
    normalizer(torch.tensor(7))
    assert torch.equal(normalizer.running, before)


def test_two_images_that_agree_do_not_end_the_counting():
    statistics = ForegroundStatistics(0, 0, 1)
    labels = torch.ones(100, dtype=torch.int64)
    labels[:7] = 0
    for images in range(1, 60):
        statistics.update(labels)
        assert statistics.standard_error < 1e-6 or images < 2
        assert statistics.enough() == (images >= 50)
        assert statistics.enough(5) == (images >= 5)
    assert statistics.most() == 20_000 - 59 and statistics.most(60) == 1


def test_a_stream_without_foreground_ends():
    statistics = ForegroundStatistics(0, 0, 1)
    statistics.update(torch.ones(19_999, 3, dtype=torch.int64))
    assert not statistics.enough()
    statistics.update(torch.ones(1, 3, dtype=torch.int64))
    assert statistics.enough()
