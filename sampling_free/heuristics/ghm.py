"""Gradient harmonising (Li et al., "Gradient Harmonized Single-stage Detector"): soft sampling by gradient density.

An entry counts the less the more entries have a gradient of its size.

Letters: N images, L levels, A anchors per place, R examples of an image, M rows, C classes.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sampling_free.heuristics.focal import rows_of_maps
from sampling_free.mechanism.processes import mean_over_processes


class GradientDensity(nn.Module):
    """How many entries have a gradient norm in each bin of [0, 1]: a moving count S, in a buffer.

    `S <- momentum S + (1 - momentum) R` for bins with R > 0 entries in the mini-batch. A bin starts from its first
    count: the public code starts from 0, which makes the first weights 1 / (1 - momentum) times too large, four-fold
    for classification. Counts are averaged over processes, since the paper's mini-batch is all of them, and since a
    checkpoint holds the buffers of one process; the public code counts in each process for itself. In evaluation
    the counts stay.

    Args:
        bins: number of equal bins.
        momentum: of the moving count; 0 for that of the mini-batch alone.
    """

    counts: Tensor

    def __init__(self, bins: int, momentum: float) -> None:
        super().__init__()
        if bins < 1 or not 0 <= momentum < 1:
            raise ValueError(f"GHM needs at least 1 bin and a momentum in [0, 1), not {bins} and {momentum}")
        self.bins = bins
        self.momentum = momentum
        self.register_buffer("counts", torch.zeros(bins, dtype=torch.float64))

    @torch.jit.unused
    def forward(self, norms: Tensor, valid: Tensor | None = None) -> Tensor:
        """Weight of each entry, divided by the number of entries: their weighted sum is GHM's loss.

        Args:
            norms: gradient norms in [0, 1], any shape, no gradient.
            valid: of a shape that broadcasts to it, which entries count; default all.

        Returns:
            Weights of the shape of `norms`, 0 where not valid.
        """
        places = (norms * self.bins).to(torch.int32).clamp_(max=self.bins - 1)
        counted = places if valid is None else places[valid.expand_as(places)]
        now = mean_over_processes(torch.bincount(counted.flatten(), minlength=self.bins).to(self.counts))
        filled = now > 0
        moved = torch.where(self.counts > 0, self.momentum * self.counts + (1 - self.momentum) * now, now)
        counts = torch.where(filled, moved, self.counts)
        if self.training:
            self.counts.copy_(counts)
        # the number of entries cancels: (total / S / filled bins) / total
        per_bin = torch.where(filled, 1 / (counts.clamp(min=1e-12) * filled.sum()), 0).to(norms.dtype)
        weights = per_bin[places]
        return weights if valid is None else weights * valid


class GHMC(nn.Module):
    """GHM's classification loss: binary cross-entropies, each divided by the density of its gradient `|p - target|`.

    Called like `sampling_free.mechanism.SigmoidCrossEntropy`, but an average by itself: it is not divided by the number
    of foreground examples. With momentum 0 it is the mean over non-empty bins of each bin's mean cross-entropy.

    The levels of the pyramid are one mini-batch, as in the paper. The public code calls the loss once for each level,
    with one moving count for all, and adds the results: weights then depend on the order of the levels.

    Args:
        bins: M.
        momentum: alpha.
    """

    reduction = "mean"

    def __init__(self, bins: int = 30, momentum: float = 0.75) -> None:
        super().__init__()
        self.density = GradientDensity(bins, momentum)

    @torch.jit.unused
    def forward(self, logits: Tensor | Sequence[Tensor], labels: Tensor, num_classes: int) -> Tensor:
        """A scalar for rows `(M, C)` with labels `(M,)`, or L raw maps `(N, A*C, H, W)` with labels `(N, R)`."""
        rows = rows_of_maps(logits, num_classes)
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        foreground = (labels >= 0) & (labels < num_classes)
        targets = torch.zeros_like(rows)
        targets[(*foreground.nonzero(as_tuple=True), labels[foreground])] = 1.0
        norms = (rows.detach().sigmoid() - targets).abs_()
        weights = self.density(norms, (labels >= 0)[..., None])
        return F.binary_cross_entropy_with_logits(rows, targets, weight=weights, reduction="sum")


class GHMR(nn.Module):
    """GHM's box loss: smooth L1 in one piece, `sqrt(d^2 + mu^2) - mu`, each divided by its gradient's density.

    An average by itself, as `GHMC`. The public code weighs it ten-fold: `PerForeground(localization_weight=10)`.

    Args:
        mu: where the loss turns from square to linear.
        bins: of the gradient norm `|d| / sqrt(d^2 + mu^2)`.
        momentum: of the moving count.
    """

    reduction = "mean"

    def __init__(self, mu: float = 0.02, bins: int = 10, momentum: float = 0.7) -> None:
        super().__init__()
        if mu <= 0:
            raise ValueError(f"GHM-R needs mu > 0, not {mu}")
        self.mu = mu
        self.density = GradientDensity(bins, momentum)

    @torch.jit.unused
    def forward(self, deltas: Tensor, targets: Tensor) -> Tensor:
        """A float32 scalar for the encoded boxes `(M, 4)` of the foreground, predicted and true; 0 without any."""
        difference = deltas.float() - targets.float()
        length = torch.sqrt(difference**2 + self.mu**2)
        weights = self.density((difference.abs() / length).detach())
        return (weights * (length - self.mu)).sum()

    def extra_repr(self) -> str:
        """The turning point."""
        return f"mu={self.mu}"
