"""The sum against torch's own one-hot cross-entropy, and what it must not keep."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling_free.heuristics.focal import rows_of_maps
from sampling_free.mechanism import SigmoidCrossEntropy, sigmoid_cross_entropy_sum
from sampling_free.mechanism.classification import sigmoid_cross_entropy_sums

N, A, C = 2, 3, 4
SIZES = [(5, 7), (3, 4), (1, 1)]
R = sum(h * w for h, w in SIZES) * A


def raw_maps(scale=3.0, dtype=torch.float32, channels_last=False, num_classes=C):
    maps = [torch.randn(N, A * num_classes, h, w, dtype=dtype) * scale for h, w in SIZES]
    if channels_last:
        maps = [m.contiguous(memory_format=torch.channels_last) for m in maps]
    return [m.requires_grad_() for m in maps]


def one_hot_reference(maps, labels, num_classes=C):
    """torch's cross-entropy on one-hot targets, with the permute and concatenation that it needs."""
    rows = rows_of_maps(maps, num_classes)
    valid = labels >= 0
    targets = F.one_hot(labels.clamp(min=0), num_classes + 1)[..., :num_classes].to(rows.dtype)
    return F.binary_cross_entropy_with_logits(rows[valid], targets[valid], reduction="sum")


def gradients(loss, maps):
    return torch.autograd.grad(loss, maps)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("num_classes", [1, C])
def test_equals_one_hot_cross_entropy_in_value_and_gradient(num_classes, channels_last):
    maps = raw_maps(channels_last=channels_last, num_classes=num_classes)
    labels = torch.randint(-1, num_classes + 1, (N, R))
    ours = sigmoid_cross_entropy_sum(maps, labels, num_classes)
    reference = one_hot_reference(maps, labels, num_classes)
    torch.testing.assert_close(ours, reference, rtol=1e-5, atol=0)
    for ours_grad, reference_grad in zip(gradients(3 * ours, maps), gradients(3 * reference, maps), strict=True):
        torch.testing.assert_close(ours_grad, reference_grad, rtol=1e-5, atol=1e-6)


def test_example_order_is_row_column_anchor_level_after_level():
    """One foreground example, found by hand in the loop order of (H, W, A)."""
    maps = [torch.full((1, A * C, h, w), -30.0, requires_grad=True) for h, w in SIZES]
    examples = [
        (level, h, w, a) for level, (H, W) in enumerate(SIZES) for h in range(H) for w in range(W) for a in range(A)
    ]
    for position in (0, 1, 3, 40, R - 1):
        level, h, w, a = examples[position]
        labels = torch.full((1, R), C)
        labels[0, position] = 2
        grads = gradients(sigmoid_cross_entropy_sum(maps, labels, C), maps)
        where = [(i, *index) for i, grad in enumerate(grads) for index in (grad < -0.5).nonzero().tolist()]
        assert where == [(level, 0, a * C + 2, h, w)]


def test_rows_are_the_same_sum():
    rows = torch.randn(50, C, requires_grad=True)
    labels = torch.randint(-1, C + 1, (50,))
    ours = sigmoid_cross_entropy_sum(rows, labels, C)
    targets = F.one_hot(labels.clamp(min=0), C + 1)[:, :C].float()
    weights = (labels >= 0).float()[:, None].expand_as(targets)
    reference = F.binary_cross_entropy_with_logits(rows, targets, weight=weights, reduction="sum")
    torch.testing.assert_close(ours, reference, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradients(ours, [rows]), gradients(reference, [rows]), rtol=1e-5, atol=1e-6)


def test_sums_come_image_by_image():
    maps, labels = raw_maps(), torch.randint(-1, C + 1, (N, R))
    weights = torch.tensor([0.5, 3.0])
    sums = sigmoid_cross_entropy_sums(maps, labels, C)
    alone = [one_hot_reference([m[i : i + 1] for m in maps], labels[i : i + 1]) for i in range(N)]
    torch.testing.assert_close(sums, torch.stack(alone), rtol=1e-5, atol=0)
    expected = gradients((torch.stack(alone) * weights).sum(), maps)
    for grad, other in zip(gradients((sums * weights).sum(), maps), expected, strict=True):
        torch.testing.assert_close(grad, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fill", [-1, C, 0], ids=["all ignored", "all background", "all foreground"])
def test_one_kind_of_example_only(fill):
    maps = raw_maps()
    labels = torch.full((N, R), fill)
    ours, reference = sigmoid_cross_entropy_sum(maps, labels, C), one_hot_reference(maps, labels)
    torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-3)
    for grad, expected in zip(gradients(ours, maps), gradients(reference, maps), strict=True):
        torch.testing.assert_close(grad, expected, rtol=1e-5, atol=1e-6)
        assert bool(grad.any()) == (fill != -1)


@pytest.mark.parametrize(
    ("logits", "shape"), [(torch.zeros(0, C), (0,)), ([], (0,)), ([torch.zeros(0, A * C, 2, 2)], (0, 4 * A))]
)
def test_nothing_to_sum(logits, shape):
    labels = torch.zeros(shape, dtype=torch.int64)
    loss = sigmoid_cross_entropy_sum(logits, labels, C)
    assert loss == 0 and loss.dim() == 0


def test_empty_input_has_a_gradient():
    rows = torch.zeros(0, C, requires_grad=True)
    sigmoid_cross_entropy_sum(rows, torch.zeros(0, dtype=torch.int64), C).backward()
    assert rows.grad.shape == (0, C)


@given(st.integers(0, 2**31), st.sampled_from([0.1, 1.0, 30.0, 1e4]), st.floats(-20, 20))
@settings(max_examples=60, deadline=None)
def test_any_scale_of_logits(seed, scale, shift):
    generator = torch.Generator().manual_seed(seed)
    rows = (torch.randn(200, C, generator=generator) * scale + shift).requires_grad_()
    labels = torch.randint(-1, C + 1, (200,), generator=generator)
    ours = sigmoid_cross_entropy_sum(rows, labels, C)
    exact = one_hot_reference([rows.double().reshape(1, 200, C).permute(0, 2, 1).unsqueeze(2)], labels[None])
    torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-3 * (scale == 1e4))
    torch.testing.assert_close(gradients(ours, [rows]), gradients(exact, [rows]), rtol=1e-5, atol=1e-6)


def test_huge_logits_that_are_all_right_cost_nothing():
    """+-1e4 with the right sign: large terms that must cancel, not leave their rounding errors."""
    labels = torch.randint(0, C + 1, (3000,))
    rows = torch.full((3000, C), -9876.543).scatter(1, labels.clamp(max=C - 1)[:, None], 9876.543)
    rows[labels == C] = -9876.543
    assert sigmoid_cross_entropy_sum(rows, labels, C).abs() < 1e-3


def test_a_rare_foreground_keeps_its_digits():
    """At the bias of a prior of 1e-5 every term is about 1e-5: log(1 + e) in float32 would lose 0.6 %."""
    rows = torch.full((200_000, C), -11.5129)
    exact = F.softplus(rows.double()).sum()
    ours = sigmoid_cross_entropy_sum(rows, torch.full((200_000,), C), C)
    torch.testing.assert_close(ours.double(), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("fill", [None, -1, 3], ids=["mixed", "all ignored", "all background"])
@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_gradcheck_in_float64(fill, shift):
    maps = [(shift + torch.randn(1, 2 * 3, 2, 2, dtype=torch.float64)).requires_grad_() for _ in range(2)]
    labels = torch.randint(-1, 4, (1, 16)) if fill is None else torch.full((1, 16), fill)
    # of a sum of 1e4s float64 keeps ten digits, of its difference quotient four
    assert torch.autograd.gradcheck(
        lambda *m: sigmoid_cross_entropy_sum(m, labels, 3), maps, atol=1e-3 if shift else 1e-5
    )
    assert sigmoid_cross_entropy_sum(maps, labels, 3).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_summed_in_float32(dtype):
    maps = [m.detach().to(dtype).requires_grad_() for m in raw_maps(scale=2.0)]
    labels = torch.randint(-1, C + 1, (N, R))
    exact = [m.detach().double().requires_grad_() for m in maps]
    ours, reference = sigmoid_cross_entropy_sum(maps, labels, C), one_hot_reference(exact, labels)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), reference, rtol=1e-5, atol=0)
    for grad, expected in zip(gradients(0.3 * ours, maps), gradients(0.3 * reference, exact), strict=True):
        assert grad.dtype == dtype
        torch.testing.assert_close(grad.double(), expected, rtol=0, atol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("num_classes", [1, C])
def test_under_autocast(num_classes, dtype):
    conv = torch.nn.Conv2d(4, A * num_classes, 1)
    x, labels = torch.randn(1, 4, 6, 6), torch.randint(-1, num_classes + 1, (1, 36 * A))
    with torch.autocast("cpu", dtype):
        logits = [conv(x)]
        loss = SigmoidCrossEntropy()(logits, labels, num_classes)
    assert logits[0].dtype == dtype and loss.dtype == torch.float32
    torch.testing.assert_close(loss, one_hot_reference([conv(x)], labels, num_classes), rtol=1e-2, atol=0)
    loss.backward()
    assert conv.weight.grad.isfinite().all() and conv.weight.grad.any()


def test_backward_keeps_the_logits_and_index_vectors_only():
    maps, labels = raw_maps(), torch.full((N, R), C)
    labels[0, :5], labels[1, :3] = 1, -1
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        sigmoid_cross_entropy_sum(maps, labels, C)
    for tensor in kept:
        assert any(tensor.data_ptr() == m.data_ptr() for m in maps) or tensor.numel() <= 5


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.zeros(5, C), torch.zeros(4).long(), r"labels of shape \(1, 4\) do not fit"),
        ([torch.zeros(1, 7, 2, 2)], torch.zeros(1, 4).long(), "7 channels of logits are no multiple of 4 classes"),
        (torch.zeros(5, C), torch.zeros(5), "labels must be integers"),
    ],
)
def test_what_does_not_fit_is_said(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        sigmoid_cross_entropy_sum(logits, labels, C)
