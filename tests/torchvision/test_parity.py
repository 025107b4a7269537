"""With the heuristics set to torchvision's own, its losses and gradients come out to the last bit."""

import copy

import pytest
import torch
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork

from sampling_free.heuristics import BiasedSampling, FocalLoss
from sampling_free.mechanism import ConstantScaling
from sampling_free.torchvision import PerExample, PerImage, make_sampling_free
from tests.torchvision import tiny


def as_torchvision(model):
    """The sampling-free form with every choice set to torchvision's."""
    if hasattr(model, "rpn"):
        return make_sampling_free(
            model,
            scaling=ConstantScaling(1),
            sampling={"rpn": BiasedSampling(256, 0.5), "roi": BiasedSampling(512, 0.25)},
            normalizer=PerExample(),
            boundary_threshold=-1,
        )
    normalizer = PerImage() if type(model).__name__ == "RetinaNet" else None  # FCOS divides per batch anyway
    return make_sampling_free(model, scaling=ConstantScaling(1), classification_loss=FocalLoss(), normalizer=normalizer)


@pytest.mark.parametrize("empty", [(), (1,)], ids=["boxes", "one image empty"])
@pytest.mark.parametrize("builder", tiny.ONE_STAGE + tiny.TWO_STAGE)
def test_losses_and_gradients_are_torchvision_s(builder, empty):
    host = tiny.seeded(builder)
    ours = as_torchvision(copy.deepcopy(host))
    images, targets = tiny.batch(empty)
    host_losses, host_gradients = tiny.losses_and_gradients(host, images, targets)
    our_losses, our_gradients = tiny.losses_and_gradients(ours, images, targets)
    assert list(our_losses) == list(host_losses)
    for name, loss in host_losses.items():
        assert torch.equal(our_losses[name], loss), name
    for name, gradient in host_gradients.items():
        if gradient is None:
            assert our_gradients[name] is None
        else:
            assert torch.equal(our_gradients[name], gradient), name


@pytest.mark.parametrize(("heads", "untouched"), [(("rpn",), "roi_heads"), (("roi",), "rpn")])
def test_heads_convert_separately(heads, untouched):
    model = make_sampling_free(tiny.faster_rcnn(), heads=heads)
    assert type(model.rpn) is RegionProposalNetwork or untouched != "rpn"
    assert type(model.roi_heads) is RoIHeads or untouched != "roi_heads"
    assert (type(model.rpn) is RegionProposalNetwork) != (type(model.roi_heads) is RoIHeads)
    losses, _ = tiny.losses_and_gradients(model, *tiny.batch())
    assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize("builder", tiny.ONE_STAGE + tiny.TWO_STAGE)
def test_detections_are_torchvision_s_at_the_same_threshold(builder):
    host = tiny.seeded(builder).eval()
    ours = make_sampling_free(copy.deepcopy(host))
    theirs, mine = (model if hasattr(model, "head") else model.roi_heads for model in (host, ours))
    mine.score_thresh = float(theirs.score_thresh)
    images, _ = tiny.batch()
    for mine, theirs in zip(ours(images), host(images), strict=True):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
