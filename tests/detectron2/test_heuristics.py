"""The heuristics in real detectron2 detectors, Cascade's stages included; and the same ones from YAML."""

import copy

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import torch
from detectron2.config import LazyCall as L
from detectron2.config import get_cfg
from detectron2.utils.events import EventStorage

from sampling_free.detectron2 import EveryStage, add_sampling_free_config, make_sampling_free
from sampling_free.detectron2.yacs import choice, dense_choices, roi_choices
from sampling_free.errors import UserError
from sampling_free.heuristics import (
    GHMC,
    GHMR,
    ISR,
    BiasedSampling,
    FocalLoss,
    IoUBalancedSampling,
    OnlineHardExamples,
)
from sampling_free.mechanism import ConstantScaling, GuidedScaling, PerExample, PerForeground, PerImage
from tests.detectron2 import small

EMPTY = pytest.mark.parametrize("empty", [(), (1,), (0, 1)], ids=["boxes", "one image empty", "no boxes"])
OHEM, ISR_ = L(OnlineHardExamples)(batch_size=24), L(ISR)(batch_size=24)
BALANCED = L(IoUBalancedSampling)(batch_size=24, balance_instances=True)
BIASED = L(BiasedSampling)(batch_size=32, positive_fraction=0.5)
CHOICES = {"OHEM": (OHEM, OHEM), "IoU-balanced": (BALANCED, BALANCED), "ISR": (BIASED, ISR_)}


def converted(node, **choices):
    return make_sampling_free(node(), **copy.deepcopy(choices))


def train(node, empty=(), **choices):
    model = small.built(converted(node, **choices))
    with EventStorage():  # for heads that stay detectron2's
        losses, gradients = small.losses_and_gradients(model, small.batch(empty))
    return model, losses, gradients


def assert_learns(losses, gradients, name):
    assert all(loss.isfinite() for loss in losses.values())
    assert all(gradient.isfinite().all() for gradient in gradients.values() if gradient is not None)
    found = [gradient for key, gradient in gradients.items() if name in key]
    assert found and all(gradient.any() for gradient in found)


@EMPTY
@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("scaling", [ConstantScaling, GuidedScaling])
def test_samplers_train(name, scaling, empty):
    rpn, roi = CHOICES[name]
    _, losses, gradients = train(small.faster_rcnn, empty, sampling={"rpn": rpn, "roi": roi}, scaling=L(scaling)())
    assert_learns(losses, gradients, "objectness_logits.weight")
    assert_learns(losses, gradients, "cls_score.weight")


@EMPTY
@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("every", [False, True], ids=["first stage", "every stage"])
def test_samplers_train_cascade(name, every, empty):
    rpn, roi = CHOICES[name]
    roi = L(EveryStage)(sampling=roi) if every else roi
    model, losses, gradients = train(small.cascade_rcnn, empty, sampling={"rpn": rpn, "roi": roi})
    assert_learns(losses, gradients, "cls_score.weight")
    assert len([key for key in losses if key.startswith("loss_cls_stage")]) == 3
    assert int(model.roi_heads.scaling.last["raw/loss_cls_stage2"].isfinite())


def counts_of_stages(monkeypatch, sampling):
    seen = []
    model = small.built(converted(small.cascade_rcnn, sampling={"rpn": BIASED, "roi": sampling}))
    losses = model.roi_heads.losses

    def spy(outputs):
        seen.extend([len(of_image) for of_image in proposals] for _, proposals in outputs)
        return losses(outputs)

    monkeypatch.setattr(model.roi_heads, "losses", spy)
    small.losses_and_gradients(model, small.batch())
    return seen


class FirstHalf:
    """A choice that trains on the first half of the proposals of an image."""

    def __call__(self, labels, num_classes, evidence=None):
        return torch.where(torch.arange(len(labels)) < len(labels) // 2, labels, -1)


def test_every_stage_chooses_anew(monkeypatch):
    first = counts_of_stages(monkeypatch, L(FirstHalf)())
    every = counts_of_stages(monkeypatch, L(EveryStage)(sampling=L(FirstHalf)()))
    assert first[0] == first[1] == first[2] == every[0]
    assert every[1] == [number // 2 for number in every[0]] and every[2] == [number // 2 for number in every[1]]


@EMPTY
@pytest.mark.parametrize("choices", [{}, {"box_loss": L(GHMR)()}], ids=["GHM-C", "GHM-C and GHM-R"])
def test_ghm_trains_retinanet(choices, empty):
    _, losses, gradients = train(small.retinanet, empty, classification_loss=L(GHMC)(), **choices)
    assert_learns(losses, gradients, "head.cls_score.weight")


@EMPTY
def test_ghm_trains_fcos(empty):
    scaling = L(ConstantScaling)(w=1.0)
    _, losses, gradients = train(small.fcos, empty, classification_loss=L(GHMC)(), scaling=scaling)
    assert_learns(losses, gradients, "head.cls_score.weight")


def test_ghm_r_is_that_of_the_foreground_s_deltas():
    """GHM-R with one bin and a small mu is detectron2's L1, averaged over coordinates."""
    box_loss, scaling = L(GHMR)(mu=1e-6, bins=1, momentum=0.0), L(ConstantScaling)(w=1.0)
    _, losses, _ = train(small.retinanet, box_loss=box_loss, scaling=scaling)
    normalizer = L(PerForeground)(localization_weight=0.25)
    _, host, _ = train(small.retinanet, scaling=scaling, normalizer=normalizer)
    torch.testing.assert_close(losses["loss_box_reg"], host["loss_box_reg"], rtol=1e-4, atol=1e-6)


def test_state_of_ghm_resumes():
    node = converted(small.retinanet, classification_loss=L(GHMC)(), box_loss=L(GHMR)())
    first = small.built(node)
    small.losses_and_gradients(first, small.batch())
    second = small.with_weights_of(first, node)
    assert second.box_loss.density.counts.any() and second.classification_loss.density.counts.any()
    again = [small.losses_and_gradients(model, small.batch())[0] for model in (first, second)]
    assert all(torch.equal(again[0][name], again[1][name]) for name in again[0])


def test_weights_of_detectron2_s_load_into_ghm():
    host = small.built(small.retinanet())
    small.with_weights_of(host, converted(small.retinanet, classification_loss=L(GHMC)(), box_loss=L(GHMR)()))


class Spy:
    """A choice that trains on everything and keeps the evidence."""

    seen: list = []

    def __call__(self, labels, num_classes, evidence=None):
        Spy.seen.append((labels, evidence.predictions, evidence.ious, evidence.instances))
        return labels


@pytest.mark.parametrize("node", [small.faster_rcnn, small.cascade_rcnn])
@pytest.mark.parametrize("head", ["rpn", "roi"])
def test_evidence_holds_losses_and_overlaps(node, head, monkeypatch):
    monkeypatch.setattr(Spy, "seen", [])
    sampling = {"rpn": BIASED, "roi": BIASED} | {head: L(Spy)()}
    _, losses, _ = train(
        node, sampling=sampling, scaling=L(ConstantScaling)(w=1.0), normalizer=L(PerExample)(), boundary_threshold=-1
    )
    each = torch.cat([predictions.losses[labels >= 0] for labels, predictions, _, _ in Spy.seen])
    if head == "rpn":  # divided by a nominal number
        torch.testing.assert_close(each.sum() / 512, losses["loss_rpn_cls"].detach())
    else:
        name = "loss_cls" if node is small.faster_rcnn else "loss_cls_stage0"
        torch.testing.assert_close(each.mean(), losses[name].detach())
    labels, predictions, ious, instances = Spy.seen[0]
    background = labels == (1 if head == "rpn" else small.NUM_CLASSES)
    assert (ious[background] < (0.7 if head == "rpn" else 0.5)).all() and (ious >= 0).all()
    assert len(set(instances.tolist())) == 2
    if head == "roi":
        assert (ious[~background & (labels >= 0)] >= 0.5).all()
        assert predictions.boxes.shape == (len(labels), 4) and (predictions.scores < 1).all()


@pytest.mark.parametrize("node", [small.faster_rcnn, small.cascade_rcnn])
def test_isr_keeps_the_sum_of_the_losses_and_moves_the_gradient(node, monkeypatch):
    found = []
    for _ in range(2):
        found.append(
            train(node, heads=["roi"], sampling=ISR_, scaling=L(ConstantScaling)(w=1.0), normalizer=L(PerExample)())
        )
        monkeypatch.setattr(ISR, "_rescaled", staticmethod(lambda shares, *_: torch.ones_like(shares.float())))
    (_, weighted, gradients), (_, plain, plain_gradients) = found
    for name in weighted:
        torch.testing.assert_close(weighted[name], plain[name])
    name = next(key for key in gradients if "cls_score.weight" in key)
    assert not torch.allclose(gradients[name], plain_gradients[name], rtol=1e-2)


@pytest.mark.parametrize(
    ("message", "node", "choices"),
    [
        ("ISR makes no sense in a region proposal network", small.faster_rcnn, {"sampling": L(ISR)()}),
        ("FocalLoss is none", small.faster_rcnn, {"sampling": {"roi": L(FocalLoss)()}}),
        ("EveryStage makes no sense in an RoI", small.faster_rcnn, {"sampling": {"roi": L(EveryStage)(sampling=OHEM)}}),
        ("GHMR is no classification loss", small.fcos, {"classification_loss": L(GHMR)()}),
        ("GHMR makes no sense in SamplingFreeFCOS", small.fcos, {"box_loss": L(GHMR)()}),
        ("GHMC is no box loss", small.retinanet, {"box_loss": L(GHMC)()}),
        ("ISR chooses examples of a two-stage", small.retinanet, {"classification_loss": L(ISR)()}),
        ("apply to one-stage models", small.faster_rcnn, {"box_loss": L(GHMR)()}),
        ("sampling= applies to two-stage models", small.retinanet, {"sampling": L(ISR)()}),
        ("PerExample does not apply to RetinaNet", small.retinanet, {"normalizer": L(PerExample)()}),
        ("PerImage does not apply to a region", small.faster_rcnn, {"normalizer": {"rpn": L(PerImage)()}}),
        ("PerImage does not apply to an RoI", small.cascade_rcnn, {"normalizer": {"roi": L(PerImage)()}}),
    ],
)
def test_nonsense_is_refused_when_the_model_is_built(message, node, choices):
    with pytest.raises(UserError, match=message):
        small.built(converted(node, **choices))


def test_ranking_needs_softmax():
    node = converted(small.faster_rcnn, sampling={"roi": ISR_})
    node.roi_heads.box_predictor.use_sigmoid_ce = True
    with pytest.raises(UserError, match="ISR ranks softmax cross-entropies"):
        small.built(node)


def test_choices_in_yaml():
    cfg = get_cfg()
    add_sampling_free_config(cfg)
    node = cfg.MODEL.SAMPLING_FREE
    assert dense_choices(cfg)["box_loss"] is None
    node.CLASSIFICATION_LOSS, node.BOX_LOSS = "GHMC(bins=20)", "GHMR(mu=0.1)"
    node.ROI_HEADS.SAMPLING = "EveryStage(sampling=IoUBalancedSampling(num_bins=4, iou_range=(0.0, 0.6)))"
    dense, roi = dense_choices(cfg), roi_choices(cfg)
    assert dense["classification_loss"].density.bins == 20 and dense["box_loss"].mu == 0.1
    assert roi["sampling"].sampling.iou_range == (0.0, 0.6)
    with pytest.raises(UserError, match="Evidence is none of"):
        choice("Evidence()", "MODEL.SAMPLING_FREE.ROI_HEADS.SAMPLING")
