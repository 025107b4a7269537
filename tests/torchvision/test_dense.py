"""ATSS, PAA, FoveaBox and YOLOv3 in torchvision's manner: call, targets, results, prior, checkpoints."""

from types import SimpleNamespace

import pytest
import torch

from sampling_free.errors import UserError
from sampling_free.torchvision import (
    DenseModel,
    atss_resnet50_fpn,
    fit_prior,
    foveabox_resnet50_fpn,
    logged_values,
    make_sampling_free,
    paa_resnet50_fpn,
    set_prior,
    yolov3_darknet53,
)
from sampling_free.torchvision.train.checkpoints import load_weights, refuse_other_classes
from tests.detectors import small

BUILDERS = [atss_resnet50_fpn, paa_resnet50_fpn, foveabox_resnet50_fpn, yolov3_darknet53]


def model_of(name, form="sampling-free"):
    return DenseModel(small.Body(), small.detector(name, form), min_size=96, max_size=160)


def batch(empty=()):
    """Two images of different sizes."""
    generator = torch.Generator().manual_seed(3)
    images = [torch.rand(3, 96, 128, generator=generator), torch.rand(3, 110, 90, generator=generator)]
    boxes, classes = small.boxes_and_classes(empty)
    return images, [{"boxes": b, "labels": c} for b, c in zip(boxes, classes, strict=True)]


@pytest.mark.parametrize("builder", BUILDERS)
def test_builders_train_and_detect_as_torchvision_s_do(builder):
    model = builder(num_classes=4, weights_backbone=None, min_size=64, max_size=96)
    images, targets = batch((1,))
    losses = model.train()(images, targets)
    assert {"classification", "bbox_regression"} <= set(losses)
    sum(losses.values()).backward()
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    set_prior(model, 1e-3)
    model.head.score_threshold = 0.0
    for image, found in zip(images, model.eval()(images), strict=True):
        assert set(found) == {"boxes", "scores", "labels"}
        assert len(found["boxes"]) == len(found["scores"]) == len(found["labels"]) <= 100
        height, width = image.shape[1:]
        assert (found["boxes"] >= 0).all()
        assert (found["boxes"] <= torch.tensor([width, height, width, height]) + 1e-3).all()
        assert (found["scores"].diff() <= 0).all() and found["labels"].max() < 4


@pytest.mark.parametrize("name", small.BUILDERS)
def test_prior_counts_what_training_finds(name):
    model = model_of(name)
    data = list(zip(*batch(), strict=True))
    statistics = fit_prior(model, data, num_images=2)
    trained = 0
    for image, target in data:
        model.train()([image], [target])
        trained += int(logged_values(model)["num_foreground"])
    if name == "paa":  # the candidate stage is an upper bound
        assert 0 < trained <= int(statistics.num_foreground) <= 2 * 3 * 3 * 9
    else:
        assert int(statistics.num_foreground) == trained > 0
    assert model.head.score_threshold == pytest.approx(statistics.score_threshold)
    for layer in model.head.head.classifiers:
        torch.testing.assert_close(layer.bias.sigmoid(), torch.full_like(layer.bias, statistics.prior))


def test_no_network_runs_for_the_prior():
    """The backbone is asked for sizes on the meta device, the head for nothing."""
    model = model_of("atss")
    ran = []
    model.head.head.register_forward_hook(lambda *_: ran.append("head"))
    model.backbone.register_forward_hook(
        lambda *call: ran.extend(level for level in call[2].values() if level.device.type != "meta")
    )
    fit_prior(model, list(zip(*batch(), strict=True)), num_images=2)
    assert ran == []


def test_prior_and_threshold_are_in_the_checkpoint(tmp_path):
    model = model_of("yolov3")
    fit_prior(model, list(zip(*batch(), strict=True)), num_images=2)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    copy = model_of("yolov3")
    load_weights(copy, tmp_path / "weights.pt")
    assert copy.head.statistics.prior == model.head.statistics.prior
    assert copy.head.score_threshold == model.head.score_threshold


def test_mistakes_are_one_sentence():
    images, targets = batch()
    model = model_of("atss").train()
    with pytest.raises(UserError, match="needs targets"):
        model(images)
    wrong = [targets[0], targets[1] | {"labels": torch.tensor([3])}]
    with pytest.raises(UserError, match="label 3 is out of range: .* num_classes=3"):
        model(images, wrong)
    with pytest.raises(UserError, match="label 3 is out of range"):
        fit_prior(model, list(zip(images, wrong, strict=True)), num_images=2)
    flat = [targets[0] | {"boxes": torch.tensor([[1.0, 2, 30, 40], [5, 5, 5, 9]])}, targets[1]]
    with pytest.raises(UserError, match="image 0 of this batch has no width or no height"):
        model(images, flat)
    with pytest.raises(UserError, match="make_sampling_free takes torchvision's"):
        make_sampling_free(model)


@pytest.mark.parametrize("name", ["paa", "yolov3"])
def test_more_classes_in_the_data_than_in_the_model_are_refused_and_fewer_told(name, caplog):
    with pytest.raises(UserError, match="num_classes=3; it needs 6"):
        refuse_other_classes(model_of(name), SimpleNamespace(num_labels=6, label_names={5: "cross"}))
    refuse_other_classes(model_of(name), SimpleNamespace(num_labels=3, label_names={2: "square"}))
    assert not caplog.records
    refuse_other_classes(model_of(name), SimpleNamespace(num_labels=2, label_names={1: "circle"}))
    (record,) = caplog.records
    assert "labels up to 1 (circle): of the model's num_classes=3 it needs 2" in record.getMessage()
