"""ISR against plain loops: ranks, non-maximum suppression's groups, weights; and what the weights keep."""

import pytest
import torch

from sampling_free.boxes import best_overlap, paired_iou, suppressed_by
from sampling_free.heuristics import ISR
from sampling_free.heuristics.ranks import ranks, ranks_within
from sampling_free.mechanism import Evidence, Predictions

C = 3


def boxes_of(number, size=60.0):
    corners = size * torch.rand(number, 2)
    return torch.cat([corners, corners + 5 + 30 * torch.rand(number, 2)], dim=1)


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(0.0, width) * max(0.0, height)
    return overlap / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap)


def groups_by_loops(boxes, scores, threshold):
    """The best that is left gathers what overlaps it."""
    left = sorted(range(len(scores)), key=lambda i: -scores[i])
    groups = []
    while left:
        groups.append([i for i in left if i == left[0] or iou(boxes[left[0]], boxes[i]) > threshold])
        left = [i for i in left if i not in groups[-1]]
    return groups


def positives_by_loops(labels, instances, ious, losses, k, beta):
    """ISR-P: the best of every object of a class come first, then the second best, and so on."""
    most = max(labels.count(c) for c in set(labels))
    importance = {}
    for c in set(labels):
        of_class = [i for i, label in enumerate(labels) if label == c]
        value = {}
        for instance in {instances[i] for i in of_class}:
            group = sorted((i for i in of_class if instances[i] == instance), key=lambda i: -ious[i])
            value |= {i: ious[i] + most - place for place, i in enumerate(group)}
        for rank, i in enumerate(sorted(of_class, key=lambda i: -value[i])):
            importance[i] = (most - rank) / most
    weights = [(beta + (1 - beta) * importance[i]) ** k for i in range(len(labels))]
    factor = sum(losses) / sum(w * loss for w, loss in zip(weights, losses, strict=True))
    return [w * factor for w in weights]


def negatives_by_loops(boxes, scores, losses, number, k, beta):
    """ISR-N where every candidate is ranked: who is drawn, in order, and with what weight."""
    value = {}
    for group in groups_by_loops(boxes, scores, 0.5):
        value |= {i: len(scores) - place + scores[i] for place, i in enumerate(group)}
    order = sorted(value, key=lambda i: -value[i])[:number]
    highest = max(number, len(scores))
    weights = [(beta + (1 - beta) * (highest - rank) / highest) ** k for rank in range(len(order))]
    factor = sum(losses[i] for i in order) / sum(w * losses[i] for w, i in zip(weights, order, strict=True))
    return order, [w * factor for w in weights]


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_those_of_suppression(seed):
    torch.manual_seed(seed)
    boxes, scores = boxes_of(40), torch.rand(40)
    groups = suppressed_by(boxes, scores, 0.5)
    expected = torch.empty(40, dtype=torch.int64)
    for number, group in enumerate(groups_by_loops(boxes.tolist(), scores.tolist(), 0.5)):
        expected[group] = number
    assert torch.equal(groups, expected)


def test_ranks_start_at_the_highest_and_ties_go_to_the_first():
    assert ranks(torch.tensor([0.2, 0.9, 0.2, 0.5])).tolist() == [2, 0, 3, 1]
    values, groups = torch.tensor([1.0, 3, 2, 3, 5]), torch.tensor([7, 0, 7, 0, 7])
    assert ranks_within(values, groups).tolist() == [2, 0, 1, 1, 0]


def test_overlaps():
    boxes, others = boxes_of(12), boxes_of(12)
    expected = torch.tensor([iou(a, b) for a, b in zip(boxes.tolist(), others.tolist(), strict=True)])
    torch.testing.assert_close(paired_iou(boxes, others), expected)
    best, index = best_overlap(boxes, others)
    table = torch.tensor([[iou(a, b) for b in others.tolist()] for a in boxes.tolist()])
    torch.testing.assert_close(best, table.max(dim=1).values)
    torch.testing.assert_close(table[torch.arange(12), index], best)
    none, index = best_overlap(boxes, torch.zeros(0, 4))
    assert none.tolist() == [0] * 12 and index.tolist() == [0] * 12


@pytest.mark.parametrize(("k", "beta"), [(2.0, 0.0), (1.0, 0.2), (0.0, 0.0)])
@pytest.mark.parametrize("seed", range(3))
def test_positives_by_loops(seed, k, beta):
    torch.manual_seed(seed)
    instances = torch.randint(0, 7, (30,))
    labels = torch.where(torch.rand(30) < 0.3, C, instances % C)
    ious, losses = torch.rand(30), torch.rand(30) + 0.1
    weights = ISR(k_positive=k, beta_positive=beta).positive_weights(labels, C, instances, ious, losses)
    positive = labels < C
    of_positives = [x[positive].tolist() for x in (labels, instances, ious, losses)]
    torch.testing.assert_close(weights[positive], torch.tensor(positives_by_loops(*of_positives, k, beta)))
    assert (weights[~positive] == 1).all()
    torch.testing.assert_close((weights * losses)[positive].sum(), losses[positive].sum())


@pytest.mark.parametrize("seed", range(20))
def test_ties_by_loops(seed):
    """IoUs, scores and coordinates in few steps: of equals the first, as a stable sort has it."""
    torch.manual_seed(seed)
    instances, ious, losses = torch.randint(0, 4, (30,)), torch.randint(0, 3, (30,)) / 2, torch.rand(30) + 0.1
    labels = instances % C
    weights = ISR().positive_weights(labels, C, instances, ious, losses)
    known = [x.tolist() for x in (labels, instances, ious, losses)]
    torch.testing.assert_close(weights, torch.tensor(positives_by_loops(*known, 2.0, 0.0)))

    corners = 8.0 * torch.randint(0, 4, (30, 2))
    boxes = torch.cat([corners, corners + 8.0 * torch.randint(1, 4, (30, 2))], dim=1)
    scores = torch.randint(1, 4, (30,)) / 4
    drawn, weights = ISR(12).draw_weighted(torch.full((30,), C), C, evidence_of(boxes, scores, losses))
    order, expected = negatives_by_loops(boxes.tolist(), scores.tolist(), losses.tolist(), 12, 0.5, 0.0)
    assert drawn.tolist() == order
    torch.testing.assert_close(weights, torch.tensor(expected))


@pytest.mark.parametrize("labels", [torch.zeros(0).long(), torch.full((4,), C)])
def test_without_positives_all_weights_are_one(labels):
    weights = ISR().positive_weights(labels, C, torch.zeros_like(labels), torch.zeros(len(labels)), labels.float())
    assert weights.tolist() == [1] * len(labels)


def evidence_of(boxes, scores, losses):
    return Evidence(lambda: Predictions(losses, scores, boxes), lambda: (scores, scores.long()))


@pytest.mark.parametrize(("k", "beta"), [(0.5, 0.0), (1.0, 0.3)])
@pytest.mark.parametrize("batch_size", [12, 200])
def test_negatives_by_loops(batch_size, k, beta):
    labels = torch.tensor([C] * 40 + [1] * 3 + [-1] * 2)[torch.randperm(45)]
    boxes, scores, losses = boxes_of(45), 0.06 + 0.9 * torch.rand(45), torch.rand(45) + 0.1
    sampling = ISR(batch_size, 0.25, k_negative=k, beta_negative=beta)
    drawn, weights = sampling.draw_weighted(labels, C, evidence_of(boxes, scores, losses))
    negatives = (labels == C).nonzero()[:, 0]
    number = min(40, batch_size - 3)
    known = [x[negatives].tolist() for x in (boxes, scores, losses)]
    order, expected = negatives_by_loops(*known, number, k, beta)
    assert drawn[3:].tolist() == negatives[order].tolist()
    torch.testing.assert_close(weights[3:], torch.tensor(expected))
    assert (labels[drawn[:3]] == 1).all() and weights[:3].tolist() == [1, 1, 1]
    torch.testing.assert_close((weights * losses[drawn])[3:].sum(), losses[drawn[3:]].sum())


def test_too_few_scored_negatives_are_filled_at_random_with_the_least_weight():
    labels, boxes = torch.full((60,), C), boxes_of(60)
    scores, losses = torch.full((60,), 0.01), torch.ones(60)
    scores[[4, 9]] = torch.tensor([0.5, 0.8])
    known, sampling = evidence_of(boxes, scores, losses), ISR(20, 0.25)
    counts = torch.zeros(60)
    for _ in range(1500):
        drawn, weights = sampling.draw_weighted(labels, C, known)
        counts[drawn] += 1
    assert drawn[:2].tolist() == [9, 4] and len(drawn) == 20
    factor = 20 / (1 + 19 * 0.95**0.5)  # of 20, the first has importance 1, the second and so all others 0.95
    torch.testing.assert_close(weights, torch.tensor([1.0] + [0.95**0.5] * 19) * factor)
    others = counts[[i for i in range(60) if i not in (4, 9)]]
    share = 18 / 58
    chi_square = ((others - 1500 * share) ** 2 / (1500 * share * (1 - share))).sum()
    assert chi_square < 57 + 4 * 114**0.5


@pytest.mark.parametrize("labels", [torch.full((9,), C), torch.full((9,), 1), torch.full((9,), -1)])
def test_nothing_scored(labels):
    known = evidence_of(boxes_of(9), torch.zeros(9), torch.rand(9))
    drawn, weights = ISR(4, 0.25).draw_weighted(labels, C, known)
    assert weights.tolist() == [1] * len(drawn)
    assert len(drawn) == {C: 4, 1: 1, -1: 0}[int(labels[0])]
    assert len(ISR(4, 0.25).draw(labels, C, known)) == len(drawn)


def test_losses_of_zero_keep_the_weights_finite():
    known = evidence_of(boxes_of(9), torch.rand(9), torch.zeros(9))
    _, weights = ISR(4, 0.25).draw_weighted(torch.full((9,), C), C, known)
    assert weights.isfinite().all()


def test_boxes_without_area_are_groups_of_their_own():
    boxes = torch.zeros(4, 4)
    assert sorted(suppressed_by(boxes, torch.rand(4), 0.5).tolist()) == [0, 1, 2, 3]


def test_impossible_settings_and_anchors_are_refused():
    with pytest.raises(ValueError, match="ISR needs exponents of at least 0"):
        ISR(k_negative=-1)
    known = Evidence(lambda: Predictions(torch.rand(3)), lambda: (torch.rand(3), torch.zeros(3)))
    with pytest.raises(ValueError, match="which only an RoI head has"):
        ISR()(torch.full((3,), C), C, known)
