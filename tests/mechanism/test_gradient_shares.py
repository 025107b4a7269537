"""Shares of the gradient, beside those of plain backward passes on real detectors."""

import pytest
import torch
from torch import nn

from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling, GradientShares, LearnedScaling, PerImage
from sampling_free.torchvision import make_sampling_free
from sampling_free.torchvision.foreground import set_prior
from tests.torchvision import tiny

METHODS = {
    "sampling-free": {},
    "focal loss, image by image": dict(
        classification_loss=FocalLoss(), scaling=ConstantScaling(0.5), normalizer=PerImage()
    ),
}


def converted(builder, **choices):
    model = make_sampling_free(tiny.seeded(builder), **choices).train()
    set_prior(model, 0.01)
    return model


def losses_of(model, **options):
    torch.manual_seed(5)  # of what a host draws at random
    return model(*tiny.batch(**options))


def norm_in_backbone(model, losses, names):
    model.zero_grad()
    torch.stack([losses[name] for name in names]).sum().backward(retain_graph=True)
    gradients = [p.grad.flatten() for p in model.backbone.parameters() if p.grad is not None]
    return torch.cat(gradients).double().norm().item()


def share_of_foreground(model, maps, losses):
    """At each anchor in turn: foreground is where one logit is pulled up, for every other one is pushed down."""
    for level in maps:
        level.grad = None
    losses["classification"].backward(retain_graph=True)
    foreground = every = 0.0
    for level in maps:
        for row in level.grad.double().unflatten(1, (-1, tiny.NUM_CLASSES)).movedim(2, -1).flatten(end_dim=-2):
            every += row.abs().sum().item()
            foreground += row.abs().sum().item() if (row < 0).any() else 0.0
    return foreground / every


@pytest.mark.parametrize("choices", METHODS.values(), ids=METHODS)
def test_shares_are_those_of_plain_backward_passes(choices):
    model = converted(tiny.retinanet, **choices)
    shares, maps = GradientShares(model), []

    def keep(_, __, level):
        level.retain_grad()
        maps.append(level)

    hook = model.head.classification_head.cls_logits.register_forward_hook(keep)
    shares.ask()
    losses = losses_of(model)
    hook.remove()
    ours = norm_in_backbone(model, losses, ["classification"])
    theirs = norm_in_backbone(model, losses, ["bbox_regression"])
    assert shares.values["classification"] == pytest.approx(ours / (ours + theirs), rel=1e-4)
    assert shares.values["foreground"] == pytest.approx(share_of_foreground(model, maps, losses), rel=1e-4)
    assert set(shares.values) == {"classification", "foreground"}


def test_each_head_has_its_share_and_what_is_no_classification_is_localisation():
    model = converted(tiny.faster_rcnn)
    shares = GradientShares(model)
    shares.ask()
    losses = losses_of(model)
    names = {"rpn": ("loss_objectness", "loss_rpn_box_reg"), "roi_heads": ("loss_classifier", "loss_box_reg")}
    for head, pair in names.items():
        ours, theirs = (norm_in_backbone(model, losses, [name]) for name in pair)
        assert shares.values[f"{head}/classification"] == pytest.approx(ours / (ours + theirs), rel=1e-4)
    model = converted(tiny.fcos)
    shares = GradientShares(model)
    shares.ask()
    losses = losses_of(model)
    ours = norm_in_backbone(model, losses, ["classification"])
    theirs = norm_in_backbone(model, losses, ["bbox_regression", "bbox_ctrness"])
    assert shares.values["classification"] == pytest.approx(ours / (ours + theirs), rel=1e-4)


def test_a_measured_step_trains_as_any_other_and_only_the_step_asked_for_is_measured():
    plain, measured = converted(tiny.retinanet), converted(tiny.retinanet)
    shares = GradientShares(measured)
    shares.ask()
    for model in (plain, measured):
        torch.stack(list(losses_of(model).values())).sum().backward()
    for ours, theirs in zip(measured.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
    found = shares.values
    losses_of(measured)
    assert found and shares.values is found
    shares.ask()
    with torch.no_grad():
        measured.eval()(tiny.batch()[0])
    assert shares.values is found  # there is no gradient in evaluation


def test_without_foreground_and_without_a_backbone_that_trains():
    model = converted(tiny.retinanet)
    shares = GradientShares(model)
    shares.ask()
    losses_of(model, empty=(0, 1))
    assert shares.values["foreground"] == 0 and shares.values["classification"] == pytest.approx(1, abs=1e-6)
    frozen = converted(tiny.retinanet)
    frozen.backbone.requires_grad_(False)
    shares = GradientShares(frozen)
    shares.ask()
    losses_of(frozen)
    assert set(shares.values) == {"foreground"}


def test_a_model_without_a_loss_scale_is_refused():
    with pytest.raises(ValueError, match=r"Sequential has none; call make_sampling_free\(model\)"):
        GradientShares(nn.Sequential(nn.Linear(2, 2)))
    assert GradientShares(nn.ModuleDict({"scaling": LearnedScaling()})).values == {}
