"""Values, gradients and fixed points of the four loss scales."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sampling_free.mechanism import (
    ConstantScaling,
    FrozenScaling,
    GuidedScaling,
    LearnedScaling,
    parameter_groups,
)

positive = st.floats(1e-3, 1e3)


def two_losses(cls, loc):
    return {"cls": torch.tensor(float(cls), requires_grad=True), "loc": torch.tensor(float(loc), requires_grad=True)}


def total_and_gradients(scaling, losses, localization="loc"):
    total = sum(scaling(losses, "cls", localization).values())
    return total.item(), [g.item() for g in torch.autograd.grad(total, list(losses.values()))]


@given(positive, positive, positive)
def test_constant(cls, loc, w):
    total, grads = total_and_gradients(ConstantScaling(w), two_losses(cls, loc))
    assert total == pytest.approx(loc + w * cls, rel=1e-5)
    assert grads == pytest.approx([w, 1.0])


def test_a_constant_of_one_hands_the_losses_back_untouched():
    losses = two_losses(3, 2)
    scaled = ConstantScaling(1)(losses, "cls", "loc")
    assert all(scaled[name] is losses[name] for name in losses)


@given(positive, positive, st.sampled_from([1.0, 2.0]))
def test_guided_value_is_the_localisation_loss_and_the_ratio_is_detached(cls, loc, factor):
    """v1: w L_cls = k L_loc; dL = dL_loc + w dL_cls (Eq. 7)."""
    total, grads = total_and_gradients(GuidedScaling(factor), two_losses(cls, loc))
    assert total == pytest.approx((1 + factor) * loc, rel=1e-5)
    assert grads == pytest.approx([factor * loc / cls, 1.0], rel=1e-5)


def test_guided_gradients_do_not_see_the_classification_normaliser():
    x = torch.randn(50, requires_grad=True)

    def gradient(normaliser):
        losses = {"cls": (x**2).sum() / normaliser, "loc": torch.tensor(0.3)}
        return torch.autograd.grad(sum(GuidedScaling()(losses, "cls", "loc").values()), x)[0]

    torch.testing.assert_close(gradient(1.0), gradient(1e4))


def test_guided_gradients_do_see_the_localisation_normaliser():
    x = torch.randn(50, requires_grad=True)

    def gradient(normaliser):
        losses = {"cls": (x**2).sum(), "loc": torch.tensor(0.3) / normaliser}
        return torch.autograd.grad(sum(GuidedScaling()(losses, "cls", "loc").values()), x)[0]

    torch.testing.assert_close(gradient(4.0), gradient(1.0) / 4)


@given(positive, positive)
def test_learned_first_call(cls, loc):
    """v2 Eq. 24 at delta = 1: L_loc + L_loc - 0; d total / d delta = L_loc - 1, through delta = d^2."""
    scaling = LearnedScaling()
    scaled = scaling(two_losses(cls, loc), "cls", "loc")
    assert set(scaled) == {"cls", "loc", "cls/regularizer"}
    assert scaled["cls"].item() == pytest.approx(loc, rel=1e-5) and scaled["cls/regularizer"].item() == 0
    sum(scaled.values()).backward()
    assert scaling.d.grad.item() == pytest.approx(2 * (loc - 1), rel=1e-4, abs=1e-5)


def run(scaling, losses, steps, seen=()):
    """SGD with momentum and the papers' warm-up (500 iterations from 1/3) on the scale alone."""
    optimizer = torch.optim.SGD(parameter_groups(scaling, weight_decay=1e-4), lr=0.01, momentum=0.9)
    trajectory = {}
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * min(1.0, 1 / 3 + (2 / 3) * (step - 1) / 500)
        optimizer.zero_grad()
        sum(scaling({k: torch.tensor(v) for k, v in losses.items()}, "cls", "loc").values()).backward()
        optimizer.step()
        if step in seen:
            trajectory[step] = next(scaling.parameters()).detach().clone()
    return trajectory


@pytest.mark.parametrize("loc", [0.1, 0.2, 0.5, 1.0, 2.0])
def test_delta_settles_at_one_over_the_localisation_loss(loc):
    """delta* = 1 / L_loc; there the scaled classification loss is 1 and the whole term 1 + ln L_loc."""
    scaling = LearnedScaling()
    run(scaling, {"cls": 7.0, "loc": loc}, 1500)
    assert scaling.delta.item() == pytest.approx(1 / loc, rel=1e-2)
    scaled = scaling({"cls": torch.tensor(7.0), "loc": torch.tensor(loc)}, "cls", "loc")
    assert scaled["cls"].item() == pytest.approx(1, rel=1e-2)
    assert (scaled["cls"] + scaled["cls/regularizer"]).item() == pytest.approx(1 + math.log(loc), abs=1e-3)


def test_trajectory_of_the_learned_scale():
    trajectory = run(LearnedScaling(), {"cls": 7.0, "loc": 0.2}, 500, seen=(10, 50, 100, 500))
    for step, expected in {10: 1.211, 50: 2.127, 100: 2.243, 500: 2.2358}.items():
        assert trajectory[step].item() == pytest.approx(expected, rel=2e-3)


def test_frozen_first_call_of_three_losses():
    """The released code's FCOS example: ratio 0.011875, everything halved, regulariser 0."""
    losses = {"cls": torch.tensor(80.0), "loc": torch.tensor(1.2), "ctr": torch.tensor(0.7)}
    scaling = FrozenScaling(num_losses=3)
    scaled = scaling(losses, "cls", "loc")
    assert scaling.last["ratio"].item() == pytest.approx(0.011875)
    assert [v.item() for v in scaled.values()] == pytest.approx([0.475, 0.6, 0.35, 0.0])


def test_frozen_sigmas_settle_at_the_root_of_their_loss():
    scaling = FrozenScaling()
    run(scaling, {"cls": 7.0, "loc": 0.2}, 1500)
    assert scaling.sigmas.tolist() == pytest.approx([math.sqrt(0.2)] * 2, rel=1e-2)
    scaled = scaling({"cls": torch.tensor(7.0), "loc": torch.tensor(0.2)}, "cls", "loc")
    assert scaled["cls"].item() == pytest.approx(0.5, rel=1e-2) and scaled["loc"].item() == pytest.approx(0.5, rel=1e-2)


def test_trajectory_of_sigma():
    trajectory = run(FrozenScaling(), {"cls": 7.0, "loc": 0.2}, 200, seen=(10, 50, 100, 200))
    for step, expected in {10: 0.886, 50: 0.4855, 100: 0.4455, 200: 0.4472}.items():
        assert trajectory[step][1].item() == pytest.approx(expected, rel=2e-3)


def test_the_ratio_freezes_after_the_warm_up_at_its_last_value():
    scaling = FrozenScaling(warmup=3)
    for call, cls in enumerate([1.0, 2.0, 4.0, 8.0, 16.0]):
        scaling(two_losses(cls, 1.0), "cls", "loc")
        assert scaling.last["ratio"].item() == pytest.approx([1, 1 / 2, 1 / 4, 1 / 4, 1 / 4][call])


@pytest.mark.parametrize("scaling", [GuidedScaling(), LearnedScaling(), FrozenScaling(warmup=2)])
def test_a_batch_without_foreground_is_scaled_by_the_running_ratio_and_poisons_nothing(scaling):
    scaling(two_losses(8.0, 2.0), "cls", "loc")
    total, (grad_cls, _) = total_and_gradients(scaling, two_losses(5.0, 0.0))
    assert grad_cls == pytest.approx(0.25 * (0.5 if isinstance(scaling, FrozenScaling) else 1))
    assert math.isfinite(total)
    scaling(two_losses(8.0, 4.0), "cls", "loc")
    assert scaling.last["ratio"].item() == pytest.approx(0.5)


@pytest.mark.parametrize("scaling", [GuidedScaling(), LearnedScaling(), FrozenScaling()])
def test_the_first_batch_may_be_without_foreground(scaling):
    total, (grad_cls, _) = total_and_gradients(scaling, two_losses(5.0, 0.0))
    assert math.isfinite(total) and grad_cls > 0


def test_a_loss_that_is_not_finite_does_not_enter_the_running_ratio():
    scaling = GuidedScaling()
    scaling(two_losses(8.0, 2.0), "cls", "loc")
    scaling(two_losses(float("nan"), 2.0), "cls", "loc")
    assert scaling.ratio.item() == pytest.approx(0.25)


def test_several_stages_count_as_one():
    losses = {name: torch.tensor(v) for name, v in {"c0": 1.0, "c1": 3.0, "b0": 0.5, "b1": 0.3}.items()}
    scaled = GuidedScaling(2)(losses, ("c0", "c1"), ("b0", "b1"))
    assert [v.item() for v in scaled.values()] == pytest.approx([0.4, 1.2, 0.5, 0.3])


@pytest.mark.parametrize("scaling", [GuidedScaling(), LearnedScaling(), FrozenScaling()])
def test_all_state_is_in_the_checkpoint_and_evaluation_leaves_it_alone(scaling):
    for cls in (4.0, 5.0, 7.0):
        scaling(two_losses(cls, 1.0), "cls", "loc")
    state = {name: value.clone() for name, value in scaling.state_dict().items()}
    copy = type(scaling)()
    copy.load_state_dict(state)
    scaling.eval()
    scaling(two_losses(1.0, 1.0), "cls", "loc")
    assert all(torch.equal(value, state[name]) for name, value in scaling.state_dict().items())
    empty = two_losses(6.0, 0.0)
    assert total_and_gradients(copy, empty) == total_and_gradients(scaling.train(), empty)


def test_raw_losses_are_kept_for_the_log():
    scaling = GuidedScaling()
    scaling(two_losses(8.0, 2.0), "cls", "loc")
    assert {name: value.item() for name, value in scaling.last.items()} == {"raw/cls": 8, "raw/loc": 2, "ratio": 0.25}
    assert not any(value.requires_grad for value in scaling.last.values())


def test_the_learned_scale_has_no_weight_decay():
    model = torch.nn.ModuleDict({"head": torch.nn.Linear(3, 3), "scaling": LearnedScaling(), "other": FrozenScaling()})
    model["head"].bias.requires_grad_(False)
    decayed, exempt = parameter_groups(model, weight_decay=0.1)
    assert decayed["weight_decay"] == 0.1 and [p is model["head"].weight for p in decayed["params"]] == [True]
    assert exempt["weight_decay"] == 0 and len(exempt["params"]) == 2


def test_mistakes_are_said():
    with pytest.raises(KeyError, match="no loss named 'box' to scale; there are cls, loc"):
        GuidedScaling()(two_losses(1, 1), "cls", "box")
    with pytest.raises(ValueError, match=r"built for 2 losses, but there are 3: cls, loc, ctr; pass num_losses=3"):
        FrozenScaling()(two_losses(1, 1) | {"ctr": torch.tensor(1.0)}, "cls", "loc")


def test_a_checkpoint_of_version_0_1_loads():
    scaling = LearnedScaling()
    scaling.load_state_dict({"ratio": torch.tensor(0.3), "has_ratio": torch.tensor(True), "d": torch.tensor(1.2)})
    assert scaling.num_ratios == 1 and scaling.d.shape == (1,) and scaling.delta.item() == pytest.approx(1.44)
    assert scaling.delta.dim() == 0


def test_nothing_of_a_scale_is_a_truth_value_and_no_parameter_lacks_a_dimension():
    """AveragedModel subtracts buffers, and sharded training divides parameters by their first dimension."""
    for scaling in (GuidedScaling(), LearnedScaling(), FrozenScaling()):
        assert all(buffer.dtype is not torch.bool for buffer in scaling.buffers())
        assert all(parameter.dim() > 0 for parameter in scaling.parameters())
        averaged = torch.optim.swa_utils.AveragedModel(scaling, use_buffers=True)
        for _ in range(3):
            losses = {"cls": torch.tensor(2.0, requires_grad=True), "loc": torch.tensor(1.0)}
            scaling(losses, "cls", "loc")
            averaged.update_parameters(scaling)


@pytest.mark.parametrize(("loc", "more"), [(0.25, True), (4.0, False)])
def test_where_the_learned_scale_ends_decides_which_loss_weighs_more(loc, more):
    """delta -> 1 / L_loc: classification is trained at 1, whatever L_loc is."""
    scaling = LearnedScaling()
    optimizer = torch.optim.SGD(scaling.parameters(), lr=0.05)
    for _ in range(300):
        losses = {"cls": torch.tensor(7.0, requires_grad=True), "loc": torch.tensor(loc)}
        scaled = scaling(losses, "cls", "loc")
        optimizer.zero_grad()
        sum(scaled.values()).backward()
        optimizer.step()
    assert scaled["cls"].item() == pytest.approx(1.0, rel=1e-2)
    assert (scaled["cls"].item() > loc) == more
