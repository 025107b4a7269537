"""The numbers that the papers print, or that follow from their formulas, at C = 80 and N / N_f = 1000."""

import math

import pytest
import torch

from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ForegroundStatistics, bias_of_prior, sigmoid_cross_entropy_sum

C, FOREGROUND, EXAMPLES = 80, 20, 20_000


def initial_loss(loss, prior):
    """A classifier that says `prior` everywhere, per foreground example."""
    labels = torch.full((EXAMPLES,), C)
    labels[:FOREGROUND] = torch.arange(FOREGROUND)
    logits = torch.full((EXAMPLES, C), bias_of_prior(prior), dtype=torch.float64, requires_grad=True)
    value = loss(logits, labels, C) / FOREGROUND
    return value.item(), torch.autograd.grad(value, logits)[0].sum().item()


@pytest.mark.parametrize(
    ("prior", "expected"), [(0.5, 55451.8), (1e-2, 808.62), (1e-3, 86.947), (1e-4, 17.211), (1e-5, 12.313)]
)
def test_initial_cross_entropy(prior, expected):
    assert initial_loss(sigmoid_cross_entropy_sum, prior)[0] == pytest.approx(expected, rel=5e-5)


def test_equation_16_of_v2_the_two_initial_losses_are_close():
    assert initial_loss(FocalLoss(0.25, 2.0), 0.01)[0] == pytest.approx(1.1887, abs=5e-5)
    assert 0.1 * initial_loss(sigmoid_cross_entropy_sum, 1e-5)[0] == pytest.approx(1.2313, abs=5e-5)


def test_optimal_bias_minimises_the_initial_loss():
    statistics = ForegroundStatistics(FOREGROUND, EXAMPLES, C)
    assert statistics.prior == pytest.approx(1.25e-5)
    assert statistics.bias == pytest.approx(-11.2898, abs=5e-5)
    value, slope = initial_loss(sigmoid_cross_entropy_sum, statistics.prior)
    assert value == pytest.approx(12.2898, abs=5e-5)
    assert slope == pytest.approx(0, abs=1e-9)  # dL/db = 0: v1 Eq. 9, v2 Eq. 12
    assert all(initial_loss(sigmoid_cross_entropy_sum, statistics.prior * f)[0] > value for f in (0.5, 0.9, 1.1, 2))


@pytest.mark.parametrize(("prior", "slope"), [(0.5, 39_999), (0.01, 799), (1e-4, 7.0), (1e-5, -0.20), (1.25e-5, 0.0)])
def test_initial_gradient_of_the_bias(prior, slope):
    assert initial_loss(sigmoid_cross_entropy_sum, prior)[1] == pytest.approx(slope, abs=5e-3)


def test_initial_gradient_of_focal_loss():
    assert initial_loss(FocalLoss(0.25, 2.0), 0.01)[1] == pytest.approx(-0.0857, abs=5e-5)


@pytest.mark.parametrize(
    ("prior", "coefficient"), [(0.5, 159_996), (0.01, 80_707), (1e-5, 20_000.2), (1 / 80_000, 0.0)]
)
def test_initial_gradient_with_respect_to_the_probability(prior, coefficient):
    """v2 Eq. 8: |N_f / p - N_b / (1 - p)| with N_f = 1 and N_b = 79,999; Eq. 12 where it vanishes."""
    slope = initial_loss(sigmoid_cross_entropy_sum, prior)[1] / (prior * (1 - prior))  # dx/dp
    assert abs(slope) == pytest.approx(coefficient, rel=1e-5, abs=1e-3)


def test_gradients_of_focal_loss_with_respect_to_the_probability():
    """v2 Eq. 10 and 11 at p = 0.01: that of a foreground example and that of a background one."""
    labels = torch.tensor([0, 1])
    logits = torch.full((2, 1), bias_of_prior(0.01), dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(FocalLoss(0.25, 2.0)(logits, labels, 1), logits)
    foreground, background = (slopes / (0.01 * 0.99)).flatten().tolist()
    assert (foreground, background) == (pytest.approx(-26.782, abs=5e-4), pytest.approx(2.2651e-4, abs=5e-9))


@pytest.mark.parametrize(("prior", "cross_entropy", "focal"), [(1e-2, 115.73440, 1.13672), (1e-5, 11.62350, 2.87817)])
def test_initial_losses_of_a_real_detector(prior, cross_entropy, focal):
    """What detectron2's RetinaNet gives on two images of 256 x 320: 30,272 examples, 219 of them foreground."""
    labels = torch.full((30_272,), C)
    labels[:219] = torch.arange(219) % C
    logits = torch.full((30_272, C), bias_of_prior(prior))
    assert sigmoid_cross_entropy_sum(logits, labels, C).item() / 219 == pytest.approx(cross_entropy, abs=5e-5)
    assert FocalLoss(0.25, 2.0)(logits, labels, C).item() / 219 == pytest.approx(focal, abs=2e-5)


def test_biases_of_the_priors_that_the_papers_and_the_code_use():
    expected = {1e-2: -4.5951, 3e-3: -5.8061, 1e-4: -9.2102, 1e-5: -11.5129}
    for prior, bias in expected.items():
        assert bias_of_prior(prior) == pytest.approx(bias, abs=5e-5)
        assert 1 / (1 + math.exp(-bias_of_prior(prior))) == pytest.approx(prior)
