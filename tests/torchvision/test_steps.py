"""After a training step, and after one that failed, a model holds nothing of the batch and can be copied."""

import copy

import pytest
import torch

from sampling_free.heuristics import ISR, BiasedSampling, OnlineHardExamples
from sampling_free.mechanism import GuidedScaling
from sampling_free.torchvision import make_sampling_free
from tests.steps import Left, assert_same_state, copies
from tests.torchvision import tiny

OHEM = {"sampling": {"rpn": OnlineHardExamples(32, 0.5), "roi": OnlineHardExamples(24, 0.25)}}
WEIGHTED = {"sampling": {"rpn": BiasedSampling(32, 0.5), "roi": ISR(24, 0.25)}}


class Failing(GuidedScaling):
    """A scale whose ratio cannot be had."""

    def scale(self, losses, classification, localization):
        raise FloatingPointError("this loss is not finite")


def parts(model):
    return [model.backbone] + [getattr(model, name) for name in ("head", "rpn", "roi_heads") if hasattr(model, name)]


@pytest.mark.parametrize(
    ("builder", "choices"),
    [
        (tiny.retinanet, {}),
        (tiny.fcos, {}),
        (tiny.mask_rcnn, {}),
        (tiny.faster_rcnn, OHEM),
        (tiny.faster_rcnn, WEIGHTED),
    ],
    ids=["retinanet", "fcos", "mask_rcnn", "OHEM", "ISR"],
)
def test_a_step_leaves_nothing_of_the_batch(builder, choices):
    model = make_sampling_free(tiny.seeded(builder), **copy.deepcopy(choices))
    left = Left(*parts(model))
    tiny.losses_and_gradients(model, *tiny.batch())
    alive, watched = left.alive()
    assert alive == 0 and watched >= 5
    assert_same_state(model, copies(model))


@pytest.mark.parametrize(
    ("builder", "choices", "scaling"),
    [
        (tiny.retinanet, {}, Failing()),
        (tiny.fcos, {}, Failing()),
        (tiny.faster_rcnn, OHEM, {"rpn": Failing()}),
        (tiny.faster_rcnn, OHEM, {"roi": Failing()}),
        (tiny.faster_rcnn, WEIGHTED, {"roi": Failing()}),
    ],
    ids=["retinanet", "fcos", "OHEM, RPN", "OHEM, RoI", "ISR"],
)
def test_a_failed_step_leaves_nothing_of_the_batch(builder, choices, scaling):
    model = make_sampling_free(tiny.seeded(builder), scaling=scaling, **copy.deepcopy(choices))
    left = Left(*parts(model))
    with pytest.raises(FloatingPointError, match="not finite"):
        model.train()(*tiny.batch())
    alive, watched = left.alive()
    assert alive == 0 and watched >= 5
    assert_same_state(model, copies(model))


def test_a_step_with_a_loss_that_is_not_a_number_leaves_nothing_of_the_batch():
    model = make_sampling_free(tiny.seeded(tiny.faster_rcnn))
    torch.nn.init.constant_(model.roi_heads.box_predictor.cls_score.bias, float("nan"))
    left = Left(*parts(model))
    losses, _ = tiny.losses_and_gradients(model, *tiny.batch())
    assert losses["loss_classifier"].isnan()
    del losses, _
    assert left.alive()[0] == 0
