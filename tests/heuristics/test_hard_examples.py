"""OHEM and IoU-balanced sampling against plain loops, and the distribution of what is drawn at random."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sampling_free.heuristics import IoUBalancedSampling, OnlineHardExamples
from sampling_free.mechanism import Evidence, Predictions

C = 3


def evidence_of(losses=None, ious=None, instances=None):
    def overlap():
        return ious, torch.zeros(len(ious), dtype=torch.int64) if instances is None else instances

    return Evidence(lambda: Predictions(losses), overlap)


def labels_of(foreground, background, ignored):
    labels = torch.tensor([i % C for i in range(foreground)] + [C] * background + [-1] * ignored)
    return labels[torch.randperm(len(labels))]


def hardest(labels, losses, batch_size, fraction):
    """By repeatedly taking the first of the highest losses that are left."""
    taken = []
    for is_kind, quota in (
        (lambda label: 0 <= label < C, int(batch_size * fraction)),
        (lambda label: label == C, None),
    ):
        left = [i for i, label in enumerate(labels.tolist()) if is_kind(label)]
        for _ in range(min(len(left), batch_size - len(taken) if quota is None else quota)):
            best = max(left, key=lambda i: (losses[i].item(), -i))
            left.remove(best)
            taken.append(best)
    return taken


sizes = given(st.integers(0, 30), st.integers(0, 60), st.integers(0, 10), st.integers(1, 40), st.floats(0, 1))


@sizes
def test_ohem_takes_the_hardest(foreground, background, ignored, batch_size, fraction):
    labels = labels_of(foreground, background, ignored)
    losses = torch.randint(0, 12, (len(labels),)).float()  # with ties
    drawn = OnlineHardExamples(batch_size, fraction).draw(labels, C, evidence_of(losses))
    assert drawn.tolist() == hardest(labels, losses, batch_size, fraction)


def test_ohem_asks_for_losses_alone():
    thinned = OnlineHardExamples(2, 0.5)(torch.tensor([0, C, C, -1]), C, evidence_of(torch.tensor([1.0, 2, 3, 9])))
    assert thinned.tolist() == [0, -1, C, -1]
    with pytest.raises(ValueError, match="OnlineHardExamples chooses by more than labels"):
        OnlineHardExamples()(torch.tensor([0, C]), C)


def counts_of_bins(ious, number, bins, high=0.5):
    """How many of each bin must be drawn at least: an equal part, or all that there are."""
    edges = [high * i / bins for i in range(1, bins)]
    place = [sum(iou >= edge for edge in edges) for iou in ious.tolist()]
    return place, [min(place.count(b), number // bins) for b in range(bins)]


@sizes
def test_iou_balanced_gives_every_bin_its_part(foreground, background, ignored, batch_size, fraction):
    labels = labels_of(foreground, background, ignored)
    ious = torch.rand(len(labels)) ** 2 / 2
    drawn = IoUBalancedSampling(batch_size, fraction).draw(labels, C, evidence_of(ious=ious))
    assert len(set(drawn.tolist())) == len(drawn)
    kinds = labels[drawn]
    number = min(int((labels == C).sum()), batch_size - min(foreground, int(batch_size * fraction)))
    assert int((kinds == C).sum()) == number and int((kinds < C).sum()) == len(drawn) - number
    assert (kinds >= 0).all()
    negatives = (labels == C).nonzero()[:, 0].tolist()
    place, least = counts_of_bins(ious[negatives], number, 3)
    taken = [place[negatives.index(i)] for i in drawn[kinds == C].tolist()]
    assert all(taken.count(b) >= least[b] for b in range(3))


def chi_square(observed, expected, share):
    return (((observed - expected) ** 2) / (expected * (1 - share))).sum()


def test_iou_balanced_draws_each_of_a_bin_as_often():
    """30 of 90 negatives, 10 from each bin of 60, 25 and 5; the third gives 5 and what is missing comes from all."""
    torch.manual_seed(0)
    labels = torch.full((90,), C)
    ious = torch.cat([torch.full((60,), 0.05), torch.full((25,), 0.25), torch.full((5,), 0.45)])
    sampling, known, draws = IoUBalancedSampling(30, 0.25), evidence_of(ious=ious), 3000
    counts = sum((sampling(labels, C, known) >= 0).double() for _ in range(draws))
    assert (counts[85:] == draws).all()
    # five more at random from the 50 and 15 that are left
    for part, size, quota in ((counts[:60], 60, 10 + 5 * 50 / 65), (counts[60:85], 25, 10 + 5 * 15 / 65)):
        share = quota / size
        assert chi_square(part, draws * share, share) < (size - 1) + 4 * (2 * (size - 1)) ** 0.5


def test_all_in_one_bin_is_biased_sampling():
    torch.manual_seed(0)
    labels, ious = torch.full((40,), C), torch.full((40,), 0.3)
    sampling, known = IoUBalancedSampling(8, 0.25), evidence_of(ious=ious)
    counts = sum((sampling(labels, C, known) >= 0).double() for _ in range(2000))
    assert chi_square(counts, 2000 * 0.2, 0.2) < 39 + 4 * 78**0.5


def test_foreground_of_each_instance_in_equal_numbers():
    """9 of 40, 3 and 1: rounds of one each give 4 or 5, 3, 1."""
    labels = torch.zeros(44, dtype=torch.int64)
    instances = torch.tensor([0] * 40 + [1] * 3 + [2])[torch.randperm(44)]
    sampling = IoUBalancedSampling(36, 0.25, balance_instances=True)
    drawn = sampling.draw(labels, C, evidence_of(ious=torch.ones(44), instances=instances))
    assert instances[drawn].bincount().tolist() == [5, 3, 1]
    counts = sum(
        (sampling(labels, C, evidence_of(ious=torch.ones(44), instances=instances)) >= 0).double() for _ in range(1500)
    )
    of_first = counts[instances == 0]
    assert chi_square(of_first, 1500 / 8, 1 / 8) < 39 + 4 * 78**0.5


@pytest.mark.parametrize("settings", [{"num_bins": 0}, {"iou_range": (0.5, 0.5)}, {"iou_range": (0.2, 1.5)}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="IoUBalancedSampling needs at least 1 bin"):
        IoUBalancedSampling(**settings)


def test_evidence_is_computed_once_and_without_gradient():
    calls, weight = [], torch.ones(4, requires_grad=True)

    def predict():
        calls.append(1)
        return Predictions(weight * 2)

    known = Evidence(predict, lambda: (weight / 2, torch.arange(4)))
    assert not known.predictions.losses.requires_grad and not known.ious.requires_grad
    assert known.predictions is known.predictions and calls == [1]
