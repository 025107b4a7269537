"""Two Gaussians in one dimension, fitted to many small samples at once.

Letters: M samples (one for each box), K places for the values of a sample.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_REGULARIZATION = 1e-6  # added to a variance
_TOLERANCE = 1e-3  # change of the mean log-likelihood below which a fit ends
_MOST_STEPS = 100
_BETWEEN_LOOKS = 10  # steps; to see whether all samples have converged makes the processor wait for a GPU


@dataclass(frozen=True)
class Mixture:
    """M mixtures of two Gaussians.

    Attributes:
        weights: `(M, 2)`.
        means: `(M, 2)`.
        variances: `(M, 2)`.
    """

    weights: Tensor
    means: Tensor
    variances: Tensor

    def log_joint(self, values: Tensor) -> Tensor:
        """Logarithm of weight times density `(M, K, 2)` of each component at values `(M, K)`."""
        variances = self.variances[:, None]
        squared = (values[..., None] - self.means[:, None]) ** 2
        return self.weights.log()[:, None] - 0.5 * (squared / variances + variances.log() + math.log(2 * math.pi))


def fit_mixture(values: Tensor, valid: Tensor) -> Mixture:
    """Expectation maximisation as scikit-learn's `GaussianMixture(2)` does it, for all samples in step.

    Starts with equal weights, the means at the smallest and the largest value, variances 1, as PAA does (Kim and Lee,
    ECCV 2020, Section 3.2 and code). A sample that has converged keeps its mixture while others go on.

    Args:
        values: `(M, K)`.
        valid: `(M, K)`, bool. A sample without a valid value has no mixture: it is NaN.

    Returns:
        float64 mixtures.
    """
    values = torch.where(valid, values.double(), 0.0)
    inside = valid[..., None].double()
    smallest = torch.where(valid, values, torch.inf).amin(dim=1)
    largest = torch.where(valid, values, -torch.inf).amax(dim=1)
    means = torch.stack([smallest, largest], dim=1)
    mixture = Mixture(torch.full_like(means, 0.5), means, torch.ones_like(means))
    count = inside.sum(dim=1)
    likelihood = means.new_full((len(values),), -torch.inf)
    running = valid.any(dim=1)
    for number in range(_MOST_STEPS):
        joint = mixture.log_joint(values)
        total = joint.logsumexp(dim=2, keepdim=True)
        share = (joint - total).exp() * inside
        mass = share.sum(dim=1) + 10 * torch.finfo(torch.float64).eps
        means = (share * values[..., None]).sum(dim=1) / mass
        variances = (share * (values[..., None] - means[:, None]) ** 2).sum(dim=1) / mass + _REGULARIZATION
        weights = mass / count
        step = Mixture(weights / weights.sum(dim=1, keepdim=True), means, variances)
        mixture = _where(running, step, mixture)
        before, likelihood = likelihood, (total * inside).sum(dim=(1, 2)) / count[:, 0]
        running = running & ~((likelihood - before).abs() < _TOLERANCE)
        if number % _BETWEEN_LOOKS == _BETWEEN_LOOKS - 1 and not running.any():
            break
    return mixture


def _where(condition: Tensor, new: Mixture, old: Mixture) -> Mixture:
    pairs = ((new.weights, old.weights), (new.means, old.means), (new.variances, old.variances))
    return Mixture(*(torch.where(condition[:, None], a, b) for a, b in pairs))
