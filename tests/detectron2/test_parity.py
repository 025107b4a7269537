"""With the heuristics set to detectron2's own, its losses and gradients come out to the last bit."""

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import torch
from detectron2.config import LazyCall as L
from detectron2.modeling.meta_arch import fcos as host_fcos
from detectron2.modeling.meta_arch import retinanet as host_retinanet
from detectron2.utils.events import EventStorage
from fvcore.nn import sigmoid_focal_loss

from sampling_free.detectron2 import make_sampling_free
from sampling_free.heuristics import BiasedSampling, FocalLoss
from sampling_free.mechanism import ConstantScaling, MovingForegroundNormalizer, PerExample, PerForeground
from tests.detectron2 import small


def as_detectron2(node):
    """The sampling-free form with every choice set to detectron2's."""
    scaling = L(ConstantScaling)(w=1.0)
    if "proposal_generator" in node:
        return make_sampling_free(
            node,
            scaling=scaling,
            sampling={
                "rpn": L(BiasedSampling)(batch_size=256, positive_fraction=0.5),
                "roi": L(BiasedSampling)(batch_size=512, positive_fraction=0.25),
            },
            normalizer=L(PerExample)(),
            boundary_threshold=-1,
        )
    count = L(MovingForegroundNormalizer)(initial=100 if "anchor_generator" in node else 300)
    return make_sampling_free(
        node, scaling=scaling, classification_loss=L(FocalLoss)(), normalizer=L(PerForeground)(count=count)
    )


def assert_equal(host, ours, items, steps=1):
    """Losses and gradients of some training steps, to the last bit."""
    for step in range(steps):
        with EventStorage():
            host_losses, host_gradients = small.losses_and_gradients(host, items, seed=step)
        our_losses, our_gradients = small.losses_and_gradients(ours, items, seed=step)
        assert list(our_losses) == list(host_losses)
        for name, loss in host_losses.items():
            assert torch.equal(our_losses[name], loss), name
        for name, gradient in host_gradients.items():
            if gradient is None:
                assert our_gradients[name] is None, name
            else:
                assert torch.equal(our_gradients[name], gradient), name


EMPTY = pytest.mark.parametrize("empty", [(), (1,), (0, 1)], ids=["boxes", "one image empty", "no boxes"])


@EMPTY
@pytest.mark.parametrize("node", small.ONE_STAGE)
def test_one_stage_detectors_are_detectron2_s(node, empty, monkeypatch):
    # as fvcore wrote it: what TorchScript makes of its gradient from the second call on differs in the last bit
    for module in (host_retinanet, host_fcos):
        monkeypatch.setattr(module, "sigmoid_focal_loss_jit", sigmoid_focal_loss)
    host = small.built(node())
    ours = small.with_weights_of(host, as_detectron2(node()))
    assert_equal(host, ours, small.batch(empty), steps=3)  # the moving normaliser moves
    assert ours.state_dict()["normalizer.count.running"].item() == host.loss_normalizer


@EMPTY
@pytest.mark.parametrize("node", small.TWO_STAGE)
def test_two_stage_detectors_are_detectron2_s(node, empty):
    host = small.built(node())
    assert_equal(host, small.with_weights_of(host, as_detectron2(node())), small.batch(empty))


def test_keypoints_are_detectron2_s():
    host = small.built(small.keypoint_rcnn())
    assert_equal(host, small.with_weights_of(host, as_detectron2(small.keypoint_rcnn())), small.batch((1,)))


def test_a_proposal_network_with_fewer_anchors_than_it_samples_is_detectron2_s():
    nodes = [small.faster_rcnn(), as_detectron2(small.faster_rcnn())]
    for node in nodes:
        node.proposal_generator.batch_size_per_image = 10**6
    nodes[1].proposal_generator.sampling.batch_size = 10**6
    host = small.built(nodes[0])
    assert_equal(host, small.with_weights_of(host, nodes[1]), small.batch())


@pytest.mark.parametrize("node", [*small.ONE_STAGE, *small.TWO_STAGE])
def test_detections_are_detectron2_s_at_the_same_threshold(node):
    host = small.built(node()).eval()
    ours = make_sampling_free(node())
    if node not in small.ONE_STAGE:
        theirs = node().roi_heads
        pairs = (
            zip(ours.roi_heads.box_predictors, theirs.box_predictors, strict=True)
            if "box_predictors" in theirs
            else [(ours.roi_heads.box_predictor, theirs.box_predictor)]
        )
        for mine, their in pairs:
            assert mine.test_score_thresh == 1e-3
            mine.test_score_thresh = their.test_score_thresh
    ours = small.with_weights_of(host, ours).eval()
    if node in small.ONE_STAGE:  # low enough for random weights to detect something
        host.test_score_thresh = 0.01
        ours.test_score_thresh = 0.01
    items = small.batch()
    with torch.no_grad():
        for mine, theirs in zip(ours(items), host(items), strict=True):
            mine, theirs = mine["instances"].get_fields(), theirs["instances"].get_fields()
            assert mine.keys() == theirs.keys()
            assert torch.equal(mine.pop("pred_boxes").tensor, theirs.pop("pred_boxes").tensor)
            assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
            assert len(theirs["scores"])
