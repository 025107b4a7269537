"""The batched mixture against scikit-learn's, one sample at a time."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from sampling_free.detectors.mixture import fit_mixture


def samples(count, generator):
    """Values `(M, K)` and how many of each row count: two heaps, one heap, equal values, two values."""
    table, lengths = np.zeros((count, 45)), []
    for row in range(count):
        length = int(generator.integers(2, 46))
        kind = row % 4
        values = generator.normal(1, 0.3, length)
        if kind == 0:
            values[: length // 3] += generator.uniform(1, 5)
        elif kind == 1:
            values = generator.uniform(0, 8, length)
        elif kind == 2:
            values = np.round(values, 1)  # many equal ones
        else:
            values = generator.exponential(generator.uniform(0.01, 10), length)
        table[row, :length] = generator.permutation(values)
        lengths.append(length)
    return table, lengths


def scikit(values):
    start = dict(
        weights_init=[0.5, 0.5], means_init=[[values.min()], [values.max()]], precisions_init=[[[1.0]], [[1.0]]]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(2, **start).fit(values[:, None])


def test_is_scikit_learn_s():
    table, lengths = samples(200, np.random.default_rng(0))
    valid = torch.arange(45) < torch.tensor(lengths)[:, None]
    values = torch.from_numpy(table)
    mixture = fit_mixture(values, valid)
    joint = mixture.log_joint(values)
    for row, length in enumerate(lengths):
        expected = scikit(table[row, :length])
        for ours, theirs in (
            (mixture.weights, expected.weights_),
            (mixture.means, expected.means_),
            (mixture.variances, expected.covariances_),
        ):
            assert ours[row].numpy() == pytest.approx(theirs.ravel(), rel=1e-6, abs=1e-9), row
        likelihood = expected.score_samples(table[row, :length, None])
        assert joint[row, :length].logsumexp(1).numpy() == pytest.approx(likelihood, rel=1e-6, abs=1e-6)


def test_what_is_not_valid_does_not_matter():
    table, lengths = samples(8, np.random.default_rng(1))
    valid = torch.arange(45) < torch.tensor(lengths)[:, None]
    values = torch.from_numpy(table)
    noise = torch.where(valid, values, torch.rand(values.shape, dtype=torch.float64) * 100)
    for name in ("weights", "means", "variances"):
        assert torch.equal(getattr(fit_mixture(values, valid), name), getattr(fit_mixture(noise, valid), name))
