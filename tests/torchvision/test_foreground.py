"""fit_prior against the training step itself, and the promise that no network runs."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._pytree import tree_leaves
from torch.utils.data import Dataset
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from sampling_free.errors import UserError
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling
from sampling_free.torchvision import fit_prior, logged_values, make_sampling_free, set_prior
from sampling_free.torchvision.foreground import resized
from tests.torchvision import tiny


class Pairs(Dataset):
    """`count` images of two sizes with a few random boxes, some images without any."""

    def __init__(self, count, boxes=4, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.items = []
        for i in range(count):
            height, width = [(96, 128), (110, 90)][i % 2]
            corners = torch.rand(0 if i % 5 == 4 else boxes, 2, generator=generator) * 60
            sizes = 10 + torch.rand(len(corners), 2, generator=generator) * 25
            labels = torch.randint(1, tiny.NUM_CLASSES, (len(corners),), generator=generator)
            self.items.append(
                (torch.zeros(3, height, width), {"boxes": torch.cat([corners, corners + sizes], 1), "labels": labels})
            )

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


@pytest.mark.parametrize("builder", [tiny.retinanet, tiny.fcos, tiny.faster_rcnn])
def test_counts_are_those_of_training(builder):
    """The same images, one at a time, through a real training step: the same foreground."""
    model = make_sampling_free(tiny.seeded(builder))
    data = Pairs(5)
    statistics = fit_prior(model, data, num_images=5)
    prefix = "" if hasattr(model, "head") else "rpn/"
    trained, examples = 0, 0
    for image, target in data:
        model.train()([image], [target])
        values = logged_values(model)
        trained += int(values[f"{prefix}num_foreground"])
        examples += int(values[f"{prefix}num_examples"])
    assert statistics.num_foreground == trained > 0
    assert statistics.num_images == 5
    assert statistics.num_examples == examples  # ignored anchors are so in both


@pytest.mark.parametrize("options", [{}, {"fixed_size": (150, 101)}, {"_skip_resize": True}])
@pytest.mark.parametrize("training", [False, True])
def test_sizes_are_those_of_torchvision_s_resizing(training, options):
    transform = GeneralizedRCNNTransform((64, 97, 131), 203, [0.0] * 3, [1.0] * 3, **options).train(training)
    for seed, (height, width) in enumerate([(96, 128), (333, 77), (41, 480), (203, 203), (7, 9)]):
        torch.manual_seed(seed)  # of several sizes one is drawn in training
        images, _ = transform([torch.zeros(3, height, width)])
        torch.manual_seed(seed)
        assert resized(transform, height, width) == tuple(images.image_sizes[0])


def has_values(output):
    return any(torch.is_tensor(leaf) and leaf.device.type != "meta" for leaf in tree_leaves(output))


@pytest.mark.parametrize("builder", [tiny.retinanet, tiny.fcos, tiny.faster_rcnn, tiny.mobilenet])
def test_no_network_runs(builder):
    """Only shapes pass through the backbone: no module ever sees a tensor with values."""
    model = make_sampling_free(builder())
    ran = []
    for name, module in model.named_modules():
        if name.startswith(("backbone", "head.", "rpn.head", "roi_heads")):
            module.register_forward_hook(lambda *call, name=name: ran.append(name) if has_values(call[2]) else None)
    fit_prior(model, Pairs(4), num_images=4)
    assert ran == []


def test_sets_bias_and_threshold_and_keeps_them_in_the_checkpoint():
    model = make_sampling_free(tiny.seeded(tiny.retinanet))
    statistics = fit_prior(model, Pairs(6), num_images=6)
    layer = model.head.classification_head.cls_logits
    torch.testing.assert_close(layer.bias.sigmoid(), torch.full_like(layer.bias, statistics.prior))
    assert model.score_thresh == pytest.approx(statistics.score_threshold)
    copy = make_sampling_free(tiny.retinanet())
    copy.load_state_dict(model.state_dict())
    assert copy.head.statistics.prior == statistics.prior
    assert copy.score_thresh == pytest.approx(statistics.score_threshold)


def test_two_stage_sets_the_rpn_bias_and_leaves_the_roi_head():
    model = make_sampling_free(tiny.seeded(tiny.faster_rcnn))
    before = model.roi_heads.box_predictor.cls_score.bias.clone()
    statistics = fit_prior(model, Pairs(6))
    assert model.rpn.head.cls_logits.bias.sigmoid()[0].item() == pytest.approx(statistics.prior)
    assert torch.equal(model.roi_heads.box_predictor.cls_score.bias, before)
    assert model.roi_heads.score_thresh == pytest.approx(1e-3)


def test_initial_loss_is_the_formula_s():
    """v1 Eq. 4: with zeroed weights every anchor says pi, and the loss is -log pi - (N C / N_f - 1) log(1 - pi)."""
    model = make_sampling_free(tiny.seeded(tiny.retinanet), scaling=ConstantScaling(1))
    data = Pairs(4)
    statistics = fit_prior(model, data, num_images=4)
    torch.nn.init.zeros_(model.head.classification_head.cls_logits.weight)
    total = 0.0
    for image, target in data:
        model.train()([image], [target])
        values = logged_values(model)
        total += float(values["raw/classification"]) * (
            int(values["num_foreground"]) or model.head.normalizer.count.running
        )
    pi, foreground = statistics.prior, int(statistics.num_foreground)
    pi = torch.tensor(pi, dtype=torch.float64)
    expected = -pi.log() - (1 / pi - 1) * torch.log1p(-pi)
    # the image without boxes is divided by the running count, which moved a little during the step
    assert total / foreground == pytest.approx(expected.item(), rel=0.02)


def test_stops_when_the_prior_is_known_to_two_percent():
    data = [item for item in Pairs(400, boxes=8).items if len(item[1]["boxes"])]
    statistics = fit_prior(make_sampling_free(tiny.retinanet()), data)
    assert 2 < statistics.num_images < len(data)
    assert statistics.standard_error < 0.02


def test_takes_batches_and_pil_images():
    data = Pairs(4)
    pairs = [(Image.new("RGB", (i.shape[2], i.shape[1])), t) for i, t in data.items]
    batches = [([i for i, _ in data.items[:2]], [t for _, t in data.items[:2]])]
    batches += [([i for i, _ in data.items[2:]], [t for _, t in data.items[2:]])]
    counted = {
        tuple(int(v) for v in (s.num_foreground, s.num_examples))
        for s in (
            fit_prior(make_sampling_free(tiny.retinanet()), d, num_images=4) for d in (data, pairs, iter(batches))
        )
    }
    assert len(counted) == 1


def test_leaves_the_random_stream_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    model = make_sampling_free(tiny.retinanet())
    torch.manual_seed(7)
    fit_prior(model, Pairs(3))
    assert torch.equal(torch.rand(1), expected)


def test_a_number_instead_of_data():
    model = make_sampling_free(tiny.retinanet())
    set_prior(model, 1e-5)
    assert model.head.classification_head.cls_logits.bias[0].item() == pytest.approx(-11.5129, abs=1e-4)
    assert model.score_thresh == pytest.approx(4e-5)  # pi C


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: fit_prior(tiny.retinanet(), Pairs(2)), "RetinaNet has no sampling-free head"),
        (
            lambda: fit_prior(make_sampling_free(tiny.faster_rcnn(), heads=("roi",)), Pairs(2)),
            "has no sampling-free head",
        ),
        (lambda: fit_prior(make_sampling_free(tiny.retinanet()), Pairs(2, boxes=0)), "no foreground among"),
        (lambda: set_prior(make_sampling_free(tiny.retinanet()), 1.5), "strictly between 0 and 1"),
    ],
)
def test_mistakes_are_said(attempt, message):
    with pytest.raises(UserError, match=message):
        attempt()


def test_what_was_found_is_said_without_logging_set_up(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    fit_prior(make_sampling_free(tiny.retinanet()), Pairs(3))
    assert "Foreground: " in capsys.readouterr().err


def test_the_classes_are_those_of_the_head_as_it_is_now():
    """The fine-tuning recipe: convert, replace the head's classifier, count."""
    model = make_sampling_free(tiny.retinanet())
    head = model.head.classification_head
    anchors, classes = model.anchor_generator.num_anchors_per_location()[0], 7
    head.cls_logits = torch.nn.Conv2d(head.cls_logits.in_channels, anchors * classes, 3, padding=1)
    head.num_classes = classes
    statistics = fit_prior(model, Pairs(4))
    assert statistics.num_classes == classes
    fresh = fit_prior(make_sampling_free(tiny.retinanet()), Pairs(4))
    assert statistics.prior == pytest.approx(fresh.prior * tiny.NUM_CLASSES / classes)
    assert model.score_thresh == pytest.approx(fresh.score_threshold)


@pytest.mark.parametrize(
    "wrap", [torch.compile, lambda model: torch.nn.DataParallel(model)], ids=["compiled", "wrapped"]
)
def test_a_wrapped_model_is_counted_as_the_one_inside(wrap):
    model = make_sampling_free(tiny.fcos())
    fit_prior(wrap(model), Pairs(3))
    assert model.head.statistics.num_images == 3


def test_a_threshold_that_a_user_says_stays():
    model = make_sampling_free(RetinaNet(tiny.backbone(LastLevelP6P7(256, 256), [2, 3, 4]), 4, score_thresh=0.5))
    fit_prior(model, Pairs(2))
    assert model.score_thresh == 0.5
    two_stage = make_sampling_free(FasterRCNN(tiny.backbone(), 4, box_score_thresh=0.3))
    assert two_stage.roi_heads.score_thresh == 0.3


@pytest.mark.parametrize("build", [tiny.retinanet, tiny.fcos, tiny.faster_rcnn])
def test_a_model_whose_prior_nobody_set_says_so_once_when_it_trains(build, caplog):
    forgotten, counted, numbered = (make_sampling_free(build()).train() for _ in range(3))
    images, targets = tiny.batch()
    fit_prior(counted, list(zip(images, targets, strict=True)))
    set_prior(numbered, 0.01)
    caplog.clear()
    for model in (counted, numbered):
        model(images, targets)
    assert "Nobody has set the prior" not in caplog.text
    forgotten(images, targets)
    forgotten(images, targets)
    assert caplog.text.count("Nobody has set the prior") == 1 and "fit_prior(model, data)" in caplog.text


def test_focal_loss_has_a_bias_of_its_own_and_is_not_reminded(caplog):
    model = make_sampling_free(tiny.retinanet(), classification_loss=FocalLoss()).train()
    model(*tiny.batch())
    assert "Nobody has set the prior" not in caplog.text


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({}, "the target has no boxes; an image without objects has boxes of shape (0, 4)"),
        ({"boxes": torch.zeros(0, 4)}, "the target has no labels"),
        ({"boxes": torch.tensor([]), "labels": []}, "boxes have the shape (0,), not (M, 4)"),
        ({"boxes": torch.tensor([[4.0, 6, 24, 26]]), "labels": torch.tensor([1, 2])}, "1 boxes and 2 labels"),
        (
            {"boxes": torch.tensor([[36.0, 20, 22, 22]]), "labels": torch.tensor([1]), "image_id": "abc.jpg"},
            "box [36.0, 20.0, 22.0, 22.0] of image abc.jpg is no [x1, y1, x2, y2]",
        ),
        (
            {"boxes": torch.tensor([[4, float("nan"), 24, 26]]), "labels": torch.tensor([1]), "image_id": 7},
            "of image 7",
        ),
    ],
)
@pytest.mark.parametrize("builder", [tiny.retinanet, tiny.faster_rcnn])
def test_a_target_that_cannot_train_is_named_before_the_prior_is_counted(builder, target, words):
    model = make_sampling_free(builder())
    with pytest.raises(UserError) as error:
        fit_prior(model, [(torch.zeros(3, 48, 64), target)])
    assert words in str(error.value)


def test_an_image_that_is_an_array_is_named():
    target = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    with pytest.raises(UserError, match="an image of the data is a numpy.ndarray; fit_prior takes"):
        fit_prior(make_sampling_free(tiny.retinanet()), [(np.zeros((48, 64, 3), np.uint8), target)])


def test_a_label_out_of_range_in_training_names_the_image_by_its_name():
    model = make_sampling_free(tiny.retinanet()).train()
    target = {"boxes": torch.tensor([[4.0, 6, 24, 26]]), "labels": torch.tensor([9]), "image_id": "abc.jpg"}
    with pytest.raises(UserError, match="label 9 of image abc.jpg"):
        fit_prior(model, [(torch.zeros(3, 48, 64), target)])
    with pytest.raises(UserError, match="label 9 of image abc.jpg"):
        model([torch.rand(3, 48, 64)], [target])
