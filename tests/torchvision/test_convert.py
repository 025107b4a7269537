"""make_sampling_free on real detectors: what changes, what does not, what is refused."""

import copy
import io

import pytest
import torch

from sampling_free.errors import UserError
from sampling_free.heuristics import BiasedSampling, FocalLoss
from sampling_free.mechanism import (
    ConstantScaling,
    FrozenScaling,
    GuidedScaling,
    LearnedScaling,
    parameter_groups,
)
from sampling_free.torchvision import PerExample, PerForeground, PerImage, logged_values, make_sampling_free, set_prior
from sampling_free.torchvision.rpn import beyond_edge
from tests.torchvision import tiny

ALL = tiny.ONE_STAGE + tiny.TWO_STAGE


@pytest.mark.parametrize("builder", ALL)
@pytest.mark.parametrize("empty", [(), (0,), (0, 1)], ids=["boxes", "half empty", "all empty"])
def test_trains_with_and_without_boxes(builder, empty):
    model = make_sampling_free(tiny.seeded(builder))
    losses, gradients = tiny.losses_and_gradients(model, *tiny.batch(empty))
    assert all(loss.isfinite() for loss in losses.values())
    for name, gradient in gradients.items():
        if gradient is not None:
            assert gradient.isfinite().all(), name
    classifiers = [name for name in gradients if "cls_logits.bias" in name or "cls_score.weight" in name]
    assert classifiers and all(gradients[name].any() for name in classifiers)


@pytest.mark.parametrize("builder", ALL)
def test_every_parameter_learns(builder):
    model = make_sampling_free(tiny.seeded(builder))
    _, gradients = tiny.losses_and_gradients(model, *tiny.batch())
    assert [name for name, gradient in gradients.items() if gradient is None] == []


@pytest.mark.parametrize("builder", ALL)
def test_torchvision_s_weights_load_before_and_after(builder):
    host = tiny.seeded(builder)
    weights = host.state_dict()
    before = make_sampling_free(copy.deepcopy(host))
    after = make_sampling_free(tiny.seeded(builder, seed=1))
    after.load_state_dict(weights, strict=True)
    for model in (before, after):
        assert all(torch.equal(model.state_dict()[name], value) for name, value in weights.items())
    assert {name for name, _ in host.named_parameters()} <= {name for name, _ in after.named_parameters()}


def test_own_checkpoint_brings_scale_statistics_and_threshold():
    model = make_sampling_free(tiny.retinanet())
    set_prior(model, 1e-4, score_threshold=3e-3)
    tiny.losses_and_gradients(model, *tiny.batch())
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    copy_ = make_sampling_free(tiny.retinanet())
    copy_.load_state_dict(torch.load(file, weights_only=True))
    assert copy_.score_thresh == pytest.approx(3e-3)
    assert torch.equal(copy_.head.scaling.ratio, model.head.scaling.ratio)


def test_a_checkpoint_that_lacks_a_part_of_ours_is_refused():
    model = make_sampling_free(tiny.retinanet())
    state = model.state_dict()
    del state["head.scaling.d"]
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict(state)


def test_all_examples_train():
    model = make_sampling_free(tiny.seeded(tiny.faster_rcnn), boundary_threshold=-1)
    images, targets = tiny.batch()
    tiny.losses_and_gradients(model, images, targets)
    values = logged_values(model)
    anchors = 3 * sum(side**2 for side in (32, 16, 8, 4, 2))  # both images are padded to 128 x 128
    ignored = 2 * anchors - int(values["rpn/num_examples"])
    assert 0 <= ignored < 0.02 * 2 * anchors  # only those between the thresholds
    # at most 100 proposals and the ground truth of each image
    assert 100 < values["roi_heads/num_examples"] <= 2 * 100 + 3


def test_anchors_that_leave_the_image_are_ignored_by_default():
    kept, ignored = (
        make_sampling_free(tiny.seeded(tiny.faster_rcnn), boundary_threshold=threshold) for threshold in (-1, 0)
    )
    images, targets = tiny.batch()
    counts = []
    for model in (kept, ignored):
        tiny.losses_and_gradients(model, images, targets)
        counts.append(int(logged_values(model)["rpn/num_examples"]))
    assert counts[1] < counts[0]
    anchors = torch.tensor([[0.0, 0, 10, 10], [-0.1, 0, 10, 10], [0, 0, 128, 10], [0, 0, 127.9, 95.9], [3, 4, 9, 96]])
    assert beyond_edge(anchors, (96, 128), threshold=0).tolist() == [False, True, True, False, True]


@pytest.mark.parametrize("builder", tiny.TWO_STAGE)
def test_classification_equals_localisation_in_rpn_and_twice_it_in_the_roi_head(builder):
    """v1 and the released code: a numerical identity of guided scaling."""
    model = make_sampling_free(tiny.seeded(builder))
    losses, _ = tiny.losses_and_gradients(model, *tiny.batch())
    torch.testing.assert_close(losses["loss_objectness"], losses["loss_rpn_box_reg"])
    torch.testing.assert_close(losses["loss_classifier"], 2 * losses["loss_box_reg"])


def test_localisation_is_normalised_by_the_foreground():
    """Against torchvision's own loss of the same step: per foreground instead of per example, times the weight."""
    host = make_sampling_free(tiny.seeded(tiny.faster_rcnn), normalizer=PerExample(), scaling=ConstantScaling(1))
    ours = make_sampling_free(tiny.seeded(tiny.faster_rcnn), scaling=ConstantScaling(1))
    theirs, _ = tiny.losses_and_gradients(host, *tiny.batch())
    losses, _ = tiny.losses_and_gradients(ours, *tiny.batch())
    values = logged_values(ours)
    for name, head, weight in (("loss_rpn_box_reg", "rpn", 1 / 8), ("loss_box_reg", "roi_heads", 1 / 4)):
        share = values[f"{head}/num_examples"] / values[f"{head}/num_foreground"]
        torch.testing.assert_close(losses[name], theirs[name] * share * weight)


@pytest.mark.parametrize("scaling", [ConstantScaling(0.1), GuidedScaling(), LearnedScaling(), FrozenScaling()])
@pytest.mark.parametrize("loss", [None, FocalLoss()], ids=["cross-entropy", "focal"])
def test_every_scale_goes_with_every_loss(scaling, loss):
    model = make_sampling_free(tiny.seeded(tiny.retinanet), scaling=scaling, classification_loss=loss)
    losses, _ = tiny.losses_and_gradients(model, *tiny.batch())
    assert {"classification", "bbox_regression"} <= set(losses)
    assert all(value.isfinite() for value in losses.values())
    assert model.head.scaling is not scaling  # models do not share state


def test_frozen_scaling_weights_centerness_too():
    model = make_sampling_free(tiny.seeded(tiny.fcos), scaling=FrozenScaling(num_losses=3))
    losses, _ = tiny.losses_and_gradients(model, *tiny.batch())
    raw = logged_values(model)
    torch.testing.assert_close(losses["bbox_ctrness"], raw["raw/bbox_ctrness"] / 2)


def test_scaling_and_sampling_per_head():
    model = make_sampling_free(
        tiny.faster_rcnn(), scaling={"rpn": LearnedScaling()}, sampling={"roi": BiasedSampling(64, 0.25)}
    )
    assert isinstance(model.rpn.scaling, LearnedScaling) and model.roi_heads.scaling.factor == 2
    losses, _ = tiny.losses_and_gradients(model, *tiny.batch())
    assert "loss_objectness/regularizer" in losses
    assert logged_values(model)["roi_heads/num_examples"] == 128


def test_the_optimiser_finds_the_learned_scale():
    _, exempt = parameter_groups(make_sampling_free(tiny.retinanet()), weight_decay=1e-4)
    assert len(exempt["params"]) == 1 and exempt["weight_decay"] == 0


def test_under_autocast():
    model = make_sampling_free(tiny.seeded(tiny.retinanet))
    images, targets = tiny.batch()
    with torch.autocast("cpu", torch.bfloat16):
        losses, gradients = tiny.losses_and_gradients(model, images, targets)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize("builder", ALL)
@pytest.mark.parametrize("label", [tiny.NUM_CLASSES, -1])
def test_labels_out_of_range_are_refused(builder, label):
    images, targets = tiny.batch()
    targets[1]["labels"] = torch.tensor([label])
    with pytest.raises(UserError, match=rf"label {label} of image 41 is out of range: a model with num_classes=4"):
        make_sampling_free(builder()).train()(images, targets)


@pytest.mark.parametrize("builder", [tiny.retinanet, tiny.fcos, tiny.faster_rcnn])
def test_boxes_that_are_no_numbers_and_labels_without_a_box_are_refused(builder):
    for name, value, words in (
        ("boxes", torch.tensor([[4.0, float("nan"), 24, 26]]), "box .*nan.* of image 41 is no"),
        ("labels", torch.tensor([1, 2]), "the target of image 41 has 1 boxes and 2 labels"),
    ):
        images, targets = tiny.batch()
        targets[1][name] = value
        with pytest.raises(UserError, match=words):
            make_sampling_free(builder()).train()(images, targets)


def test_what_makes_no_sense_is_refused():
    refused = {
        "trains every example anyway": lambda: make_sampling_free(tiny.retinanet(), sampling=BiasedSampling()),
        "apply to one-stage models": lambda: make_sampling_free(tiny.mobilenet(), classification_loss=FocalLoss()),
        "must name 'rpn', 'roi' or both": lambda: make_sampling_free(tiny.mobilenet(), heads=("box",)),
        "already sampling-free": lambda: make_sampling_free(make_sampling_free(tiny.fcos())),
        "not Linear": lambda: make_sampling_free(torch.nn.Linear(2, 2)),
        "PerImage does not apply": lambda: make_sampling_free(tiny.mobilenet(), normalizer=PerImage()),
        "PerExample does not apply": lambda: make_sampling_free(tiny.retinanet(), normalizer=PerExample()),
        r"FCOS takes normalizer=PerForeground": lambda: make_sampling_free(tiny.fcos(), normalizer=PerImage()),
        "keys 'rpn' and 'roi'": lambda: make_sampling_free(tiny.mobilenet(), scaling={"box": GuidedScaling()}),
        "a mapping of choices": lambda: make_sampling_free(tiny.fcos(), normalizer={"rpn": PerForeground()}),
    }
    for message, attempt in refused.items():
        with pytest.raises(UserError, match=message):
            attempt()
