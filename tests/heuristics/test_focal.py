"""Focal Loss against its formula in loops, and its limits."""

import math

import pytest
import torch
from torch.nn import functional as F

from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import SigmoidCrossEntropy


def by_loops(logits, labels, num_classes, alpha, gamma):
    """v1 Eq. 1, times N_f, one entry after the other."""
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        for column in range(num_classes if label >= 0 else 0):
            p = 1 / (1 + math.exp(-row[column]))
            if label == column:
                total -= alpha * (1 - p) ** gamma * math.log(p)
            else:
                total -= (1 - alpha) * p**gamma * math.log(1 - p)
    return total


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.9, 1.5)])
def test_formula(alpha, gamma):
    logits, labels = torch.randn(40, 5), torch.randint(-1, 6, (40,))
    ours = FocalLoss(alpha, gamma)(logits, labels, 5)
    assert ours.item() == pytest.approx(by_loops(logits, labels, 5, alpha, gamma), rel=1e-5)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.9, 1.5)])
def test_gradient_is_that_of_the_formula(alpha, gamma):
    logits, labels = torch.randn(40, 5, dtype=torch.float64, requires_grad=True), torch.randint(-1, 6, (40,))
    (ours,) = torch.autograd.grad(FocalLoss(alpha, gamma)(logits, labels, 5), logits)
    p, positive = logits.sigmoid(), labels[:, None] == torch.arange(5)
    written = torch.where(positive, -alpha * (1 - p) ** gamma * p.log(), -(1 - alpha) * p**gamma * (1 - p).log())
    (theirs,) = torch.autograd.grad(written[labels >= 0].sum(), logits)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_raw_maps_and_rows_are_the_same_examples():
    maps = [torch.randn(2, 3 * 4, h, w) for h, w in [(3, 5), (2, 1)]]
    labels = torch.randint(-1, 5, (2, (15 + 2) * 3))
    rows = torch.cat([m.view(2, 3, 4, *m.shape[2:]).permute(0, 3, 4, 1, 2).reshape(2, -1, 4) for m in maps], 1)
    by_maps = FocalLoss()(maps, labels, 4)
    by_rows = sum(FocalLoss()(r, label, 4) for r, label in zip(rows, labels, strict=True))
    torch.testing.assert_close(by_maps, by_rows)


def test_without_weights_it_is_plain_cross_entropy():
    logits, labels = torch.randn(30, 3), torch.randint(-1, 4, (30,))
    plain = SigmoidCrossEntropy()(logits, labels, 3)
    torch.testing.assert_close(FocalLoss(alpha=-1, gamma=0)(logits, labels, 3), plain, rtol=1e-5, atol=0)


@pytest.mark.parametrize("labels", [torch.full((7,), -1), torch.full((7,), 3), torch.zeros(0).long()])
def test_no_foreground(labels):
    logits = torch.randn(len(labels), 3, requires_grad=True)
    FocalLoss()(logits, labels, 3).backward()
    expected = 0.75 * (logits.sigmoid() ** 2 * F.softplus(logits)) * (labels >= 0)[:, None]
    torch.testing.assert_close(FocalLoss()(logits, labels, 3), expected.sum())
