"""GHM against its formula in loops, values and gradients; its state; the figures of its limits."""

import math

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from sampling_free.heuristics import GHMC, GHMR
from sampling_free.mechanism import PerForeground, PerImage
from sampling_free.mechanism.normalization import BatchLoss, reduction_of


class ByLoops:
    """The paper's Eq. 4 to 9 with Eq. 10's moving counts, entry by entry."""

    def __init__(self, bins, momentum):
        self.bins, self.momentum, self.counts = bins, momentum, [0.0] * bins

    def weights(self, norms):
        places = [min(int(norm * self.bins), self.bins - 1) for norm in norms]
        for b in range(self.bins):
            now = places.count(b)
            if now:
                old = self.counts[b] or now
                self.counts[b] = self.momentum * old + (1 - self.momentum) * now
        filled = len(set(places))
        return [len(norms) / self.counts[p] / filled for p in places]

    def classification(self, logits, labels, num_classes):
        entries = [
            (1 / (1 + math.exp(-x)), float(c == label))
            for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
            if label >= 0
            for c, x in enumerate(row)
        ]
        weights = self.weights([abs(p - t) for p, t in entries])
        losses = [-math.log(p if t else 1 - p) for p, t in entries]
        return sum(w * loss for w, loss in zip(weights, losses, strict=True)) / len(entries)

    def boxes(self, deltas, targets, mu):
        differences = (deltas - targets).flatten().tolist()
        lengths = [math.sqrt(d * d + mu * mu) for d in differences]
        weights = self.weights([abs(d) / length for d, length in zip(differences, lengths, strict=True)])
        return sum(w * (length - mu) for w, length in zip(weights, lengths, strict=True)) / len(differences)


@pytest.mark.parametrize(("bins", "momentum"), [(30, 0.75), (10, 0.0), (1, 0.5)])
def test_classification_by_loops(bins, momentum):
    ours, loops = GHMC(bins, momentum), ByLoops(bins, momentum)
    for _ in range(3):
        logits, labels = 2 * torch.randn(40, 5, dtype=torch.float64), torch.randint(-1, 6, (40,))
        assert ours(logits, labels, 5).item() == pytest.approx(loops.classification(logits, labels, 5), rel=1e-9)


@pytest.mark.parametrize(("bins", "momentum"), [(10, 0.7), (10, 0.0), (1, 0.5)])
def test_boxes_by_loops(bins, momentum):
    ours, loops = GHMR(0.02, bins, momentum), ByLoops(bins, momentum)
    for scale in (0.01, 0.1, 1.0):
        deltas, targets = scale * torch.randn(12, 4), torch.zeros(12, 4)
        assert ours(deltas, targets).item() == pytest.approx(loops.boxes(deltas, targets, 0.02), rel=1e-5)


def test_weights_have_no_gradient():
    """The gradient is the weight times p - target, or times d / sqrt(d^2 + mu^2)."""
    logits = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(-1, 4, (20,))
    loss = GHMC(30, 0.0)
    loss(logits, labels, 3).backward()
    targets = torch.nn.functional.one_hot(labels.clamp(min=0), 4)[:, :3].double()
    difference = logits.detach().sigmoid() - targets
    valid = (labels >= 0)[:, None].expand(20, 3)
    weights = torch.zeros_like(difference)
    weights[valid] = torch.tensor(ByLoops(30, 0.0).weights(difference.abs()[valid].tolist()), dtype=torch.float64)
    torch.testing.assert_close(logits.grad, weights * difference / valid.sum())

    deltas = (0.1 * torch.randn(9, 4)).requires_grad_()
    GHMR(0.02, 10, 0.0)(deltas, torch.zeros(9, 4)).backward()
    norms = deltas.detach() / (deltas.detach() ** 2 + 0.02**2).sqrt()
    weights = torch.tensor(ByLoops(10, 0.0).weights(norms.abs().flatten().tolist())).view(9, 4)
    torch.testing.assert_close(deltas.grad, weights * norms / 36)


@pytest.mark.parametrize(("prior", "expected"), [(0.01, 2.3076), (1e-5, 5.7565)])
def test_at_the_start_it_is_the_mean_of_two_bins(prior, expected):
    """All foreground in one bin, all background in another: (-ln(1 - pi) - ln(pi)) / 2."""
    logits = torch.full((500, 4), math.log(prior / (1 - prior)))
    labels = torch.full((500,), 4)
    labels[:3] = 1
    assert GHMC(momentum=0.0)(logits, labels, 4).item() == pytest.approx(expected, abs=1e-4)
    assert GHMC()(logits, labels, 4).item() == pytest.approx(expected, abs=1e-4)  # the first counts are the start


@pytest.mark.parametrize(("difference", "norm", "loss"), [(0.02, 0.7071, 0.008284), (0.5, 0.99920, 0.48040)])
def test_box_loss_of_one_difference(difference, norm, loss):
    deltas = torch.full((5, 4), difference, requires_grad=True)
    (gradient,) = torch.autograd.grad(GHMR()(deltas, torch.zeros(5, 4)), deltas)
    torch.testing.assert_close(gradient, torch.full((5, 4), norm / 20), rtol=2e-5, atol=0)
    assert GHMR()(deltas, torch.zeros(5, 4)).item() == pytest.approx(loss, abs=1e-5)
    assert GHMR()(-deltas, torch.zeros(5, 4)).item() == pytest.approx(loss, abs=1e-5)


def test_gradient_norms_at_the_edges():
    """0 lies in the first bin, 1 (a saturated sigmoid) in the last, an inner edge in the upper of its two."""
    density = GHMC(4).density
    density(torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    assert density.counts.tolist() == [1, 1, 1, 2]


def test_a_bin_that_stays_empty_keeps_its_count():
    density = GHMC(4, momentum=0.75).density
    for norms in ([0.1, 0.1, 0.9], [0.1], [0.1, 0.9, 0.9]):
        weights = density(torch.tensor(norms))
    assert density.counts.tolist() == [1.5625, 0, 0, 1.25]
    torch.testing.assert_close(weights[1], torch.tensor(1 / 1.25 / 2))


def test_raw_maps_and_rows_are_the_same_examples():
    maps = [torch.randn(2, 3 * 4, h, w) for h, w in [(3, 5), (2, 1)]]
    labels = torch.randint(-1, 5, (2, 51))
    rows = torch.cat([m.view(2, 3, 4, *m.shape[2:]).permute(0, 3, 4, 1, 2).reshape(2, -1, 4) for m in maps], 1)
    torch.testing.assert_close(GHMC()(maps, labels, 4), GHMC()(rows.flatten(0, 1), labels.flatten(), 4))


@pytest.mark.parametrize("labels", [torch.full((7,), -1), torch.full((7,), 3), torch.zeros(0).long()])
def test_nothing_to_learn_from(labels):
    logits = torch.randn(len(labels), 3, requires_grad=True)
    loss = GHMC()
    value = loss(logits, labels, 3)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all() and loss.density.counts.isfinite().all()
    assert bool(logits.grad.any()) == bool((labels >= 0).any())
    deltas = torch.zeros(0, 4, requires_grad=True)
    GHMR()(deltas, torch.zeros(0, 4)).backward()
    assert deltas.grad.shape == (0, 4)


def test_counts_are_state_and_stay_in_evaluation():
    first, batch = GHMC(), [(torch.randn(30, 3), torch.randint(-1, 4, (30,))) for _ in range(3)]
    for logits, labels in batch[:2]:
        first(logits, labels, 3)
    second = GHMC()
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(*batch[2], 3), second(*batch[2], 3))
    before = second.density.counts.clone()
    second.eval()(*batch[0], 3)
    assert torch.equal(before, second.density.counts) and before.any()


@pytest.mark.parametrize("loss", [GHMC(), GHMR()])
def test_an_average_is_weighted_but_not_divided(loss):
    count = torch.tensor([3, 5])
    call = BatchLoss(lambda images: torch.tensor(2.0), reduction_of(loss))
    plain = BatchLoss(lambda images: torch.tensor(2.0), reduction_of(torch.nn.Identity()))
    normalizer = PerForeground(localization_weight=10)
    assert [x.item() for x in normalizer.dense(count, call, call)] == [2, 20]
    assert [x.item() for x in normalizer.dense(count, plain, call)] == [0.25, 20]
    assert [x.item() for x in PerImage().dense(count, call, plain)] == [2, pytest.approx((2 / 3 + 2 / 5) / 2)]


def test_impossible_settings_are_refused():
    for attempt in (lambda: GHMC(0), lambda: GHMC(30, 1.0), lambda: GHMR(momentum=-0.1)):
        with pytest.raises(ValueError, match="at least 1 bin and a momentum"):
            attempt()
    with pytest.raises(ValueError, match="mu > 0"):
        GHMR(0)


def count_in_two_processes(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    logits, labels = torch.load(f"{folder}/batch.pt", weights_only=True)
    loss = GHMC(momentum=0.0)
    half = slice(0, 12) if rank == 0 else slice(12, 40)
    torch.save([loss(logits[half], labels[half], 3), loss.density.counts], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_are_one_mini_batch(tmp_path):
    batch = torch.randn(40, 3), torch.randint(-1, 4, (40,))
    torch.save(list(batch), tmp_path / "batch.pt")
    whole = GHMC(momentum=0.0)
    expected = whole(*batch, 3)
    mp.spawn(count_in_two_processes, args=(str(tmp_path),), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    # gradients are averaged over processes, and so losses are to be
    torch.testing.assert_close((found[0][0] + found[1][0]) / 2, expected)
    for _, counts in found:
        torch.testing.assert_close(2 * counts, whole.density.counts)
