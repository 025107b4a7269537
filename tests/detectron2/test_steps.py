"""After a training step, and after one that failed, a model holds nothing of the batch and can be copied."""

import copy

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

from detectron2.config import LazyCall as L
from detectron2.utils.events import EventStorage

from sampling_free.detectron2 import EveryStage, make_sampling_free
from sampling_free.heuristics import ISR, BiasedSampling, OnlineHardExamples
from sampling_free.mechanism import GuidedScaling
from tests.detectron2 import small
from tests.steps import Left, assert_same_state, copies

BIASED, ISR_ = L(BiasedSampling)(batch_size=32, positive_fraction=0.5), L(ISR)(batch_size=24)
OHEM = {"sampling": L(OnlineHardExamples)(batch_size=24)}
WEIGHTED = {"sampling": {"rpn": BIASED, "roi": ISR_}}
EVERY = {"sampling": {"rpn": BIASED, "roi": L(EveryStage)(sampling=ISR_)}}


class Failing(GuidedScaling):
    """A scale whose ratio cannot be had."""

    def scale(self, losses, classification, localization):
        raise FloatingPointError("this loss is not finite")


def built(node, choices):
    model = small.built(make_sampling_free(node(), **copy.deepcopy(choices)))
    names = ("backbone", "head", "proposal_generator", "roi_heads")
    return model, Left(*[getattr(model, name) for name in names if hasattr(model, name)])


@pytest.mark.parametrize(
    ("node", "choices"),
    [
        (small.retinanet, {}),
        (small.fcos, {}),
        (small.mask_rcnn, {}),
        (small.faster_rcnn, OHEM),
        (small.faster_rcnn, WEIGHTED),
        (small.cascade_rcnn, {}),
        (small.cascade_rcnn, EVERY),
    ],
    ids=["retinanet", "fcos", "mask_rcnn", "OHEM", "ISR", "cascade", "ISR in every stage"],
)
def test_a_step_leaves_nothing_of_the_batch(node, choices):
    model, left = built(node, choices)
    with EventStorage():
        small.losses_and_gradients(model, small.batch())
    alive, watched = left.alive()
    assert alive == 0 and watched >= 5
    assert_same_state(model, copies(model))


@pytest.mark.parametrize(
    ("node", "choices"),
    [
        (small.retinanet, {"scaling": L(Failing)()}),
        (small.fcos, {"scaling": L(Failing)()}),
        (small.faster_rcnn, OHEM | {"scaling": {"rpn": L(Failing)()}}),
        (small.faster_rcnn, WEIGHTED | {"scaling": {"roi": L(Failing)()}}),
        (small.cascade_rcnn, EVERY | {"scaling": {"roi": L(Failing)()}}),
    ],
    ids=["retinanet", "fcos", "OHEM, RPN", "ISR", "ISR in every stage"],
)
def test_a_failed_step_leaves_nothing_of_the_batch(node, choices):
    model, left = built(node, choices)
    with pytest.raises(FloatingPointError, match="not finite"), EventStorage():
        model.train()(small.batch())
    alive, watched = left.alive()
    assert alive == 0 and watched >= 5
    assert_same_state(model, copies(model))


@pytest.mark.parametrize("node", [small.faster_rcnn, small.cascade_rcnn])
def test_a_choice_that_fails_leaves_nothing_of_the_batch(node):
    model, left = built(node, {"sampling": {"roi": L(_Refusing)()}})
    with pytest.raises(FloatingPointError, match="no loss"), EventStorage():
        model.train()(small.batch())
    assert left.alive()[0] == 0
    assert_same_state(model, copies(model))


class _Refusing:
    """A choice that looks at the head's losses and then fails."""

    def __call__(self, labels, num_classes, evidence=None):
        raise FloatingPointError(f"no loss of {len(evidence.predictions.losses)} will do")
