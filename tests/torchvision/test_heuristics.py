"""The heuristics in real torchvision detectors: they train, they see what they should, nonsense is refused."""

import copy

import pytest
import torch
from torchvision.ops import box_iou

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
from sampling_free.mechanism import AllExamples, ConstantScaling, GuidedScaling
from sampling_free.torchvision import PerExample, PerForeground, logged_values, make_sampling_free
from tests.torchvision import tiny

CHOICES = [
    {"rpn": OnlineHardExamples(32, 0.5), "roi": OnlineHardExamples(24, 0.25)},
    {"rpn": IoUBalancedSampling(32, 0.5, iou_range=(0, 0.3)), "roi": IoUBalancedSampling(24, balance_instances=True)},
    {"rpn": BiasedSampling(32, 0.5), "roi": ISR(24, 0.25)},
]
LOSSES = [{"classification_loss": GHMC()}, {"classification_loss": GHMC(), "box_loss": GHMR()}, {"box_loss": GHMR()}]
EMPTY = pytest.mark.parametrize("empty", [(), (1,), (0, 1)], ids=["boxes", "one image empty", "no boxes"])


def assert_learns(model, empty, classifier):
    losses, gradients = tiny.losses_and_gradients(model, *tiny.batch(empty))
    assert all(loss.isfinite() for loss in losses.values())
    assert all(gradient.isfinite().all() for gradient in gradients.values() if gradient is not None)
    for name in classifier:
        assert gradients[name].any(), name


@EMPTY
@pytest.mark.parametrize("sampling", CHOICES, ids=lambda c: type(c["roi"]).__name__)
@pytest.mark.parametrize("guided", [False, True], ids=["constant", "guided"])
def test_samplers_train(sampling, empty, guided):
    scaling = GuidedScaling() if guided else ConstantScaling()
    model = make_sampling_free(tiny.seeded(tiny.faster_rcnn), sampling=sampling, scaling=scaling)
    classifier = ["rpn.head.cls_logits.weight", "roi_heads.box_predictor.cls_score.weight"]
    assert_learns(model, empty, [] if guided and empty == (0, 1) else classifier)
    assert logged_values(model)["roi_heads/num_examples"] <= 48


@EMPTY
@pytest.mark.parametrize("losses", LOSSES, ids=["GHM-C", "GHM-C and GHM-R", "GHM-R"])
def test_ghm_trains_retinanet(losses, empty):
    model = make_sampling_free(tiny.seeded(tiny.retinanet), **copy.deepcopy(losses))
    assert_learns(model, empty, ["head.classification_head.cls_logits.weight"])


@EMPTY
def test_ghm_trains_fcos(empty):
    model = make_sampling_free(tiny.seeded(tiny.fcos), classification_loss=GHMC(), scaling=ConstantScaling())
    assert_learns(model, empty, ["head.classification_head.cls_logits.weight"])


def ghm_losses(**choices):
    model = make_sampling_free(tiny.seeded(tiny.retinanet), scaling=ConstantScaling(), **choices)
    return model, tiny.losses_and_gradients(model, *tiny.batch())[0]


def test_ghm_sees_the_foreground_s_encoded_boxes_and_is_not_divided():
    seen = []

    class Spy(GHMR):
        def forward(self, deltas, targets):
            seen.append((deltas, targets))
            return super().forward(deltas, targets)

    spy = Spy()
    model, losses = ghm_losses(box_loss=spy, normalizer=PerForeground(localization_weight=10))
    (deltas, targets), coder = seen[0], model.head.regression_head.box_coder
    assert len(seen) == 1 and deltas.shape == targets.shape == (int(spy.density.counts.sum()) // 4, 4)
    torch.testing.assert_close(losses["bbox_regression"], 10 * GHMR()(deltas, targets))
    host, (images, boxes) = tiny.seeded(tiny.retinanet), tiny.batch()
    host_losses, _ = tiny.losses_and_gradients(host, images, boxes)  # L1 of the same pairs, per image and foreground
    assert coder.weights == host.head.regression_head.box_coder.weights
    counts = [len(part) for part in _foreground_per_image(model, images, boxes)]
    per_image = (deltas - targets).abs().sum(1).split(counts)
    mean = sum(part.sum() / len(part) for part in per_image) / 2
    torch.testing.assert_close(mean, host_losses["bbox_regression"])


def _foreground_per_image(model, images, targets):
    found = []
    compute = type(model.head).compute_loss

    def spy(targets, outputs, anchors, matched_idxs):
        found.extend(torch.where(matches >= 0)[0] for matches in matched_idxs)
        return compute(model.head, targets, outputs, anchors, matched_idxs)

    model.head.compute_loss = spy
    tiny.losses_and_gradients(model, images, targets)
    del model.head.compute_loss
    return found


def test_state_of_ghm_resumes():
    first = make_sampling_free(tiny.seeded(tiny.retinanet), classification_loss=GHMC(), box_loss=GHMR())
    tiny.losses_and_gradients(first, *tiny.batch())
    second = make_sampling_free(tiny.seeded(tiny.retinanet, 1), classification_loss=GHMC(), box_loss=GHMR())
    second.load_state_dict(first.state_dict())
    assert second.head.box_loss.density.counts.any()
    again = [tiny.losses_and_gradients(model, *tiny.batch())[0] for model in (first, second)]
    assert all(torch.equal(again[0][name], again[1][name]) for name in again[0])
    assert torch.equal(first.head.classification_loss.density.counts, second.head.classification_loss.density.counts)


class Spy:
    """A choice that trains on everything and keeps the evidence."""

    def __init__(self):
        self.seen = []

    def __call__(self, labels, num_classes, evidence=None):
        self.seen.append((labels, evidence.predictions, evidence.ious, evidence.instances))
        return labels


def evidence_of(head, empty=()):
    spy = Spy()
    sampling = {"rpn": AllExamples(), "roi": AllExamples()} | {head: spy}
    model = make_sampling_free(
        tiny.seeded(tiny.faster_rcnn),
        sampling=sampling,
        scaling=ConstantScaling(),
        normalizer=PerExample(),
        boundary_threshold=-1,
    )
    losses, _ = tiny.losses_and_gradients(model, *tiny.batch(empty))
    return model, spy.seen, losses


@pytest.mark.parametrize(("head", "name"), [("rpn", "loss_objectness"), ("roi", "loss_classifier")])
def test_evidence_holds_the_losses_that_train(head, name):
    _, seen, losses = evidence_of(head)
    each = torch.cat([predictions.losses[labels >= 0] for labels, predictions, _, _ in seen])
    torch.testing.assert_close(each.mean(), losses[name].detach())


@pytest.mark.parametrize("head", ["rpn", "roi"])
def test_evidence_holds_the_overlaps(head):
    _, seen, _ = evidence_of(head, empty=(1,))
    labels, _, ious, instances = seen[0]
    threshold = 0.5 if head == "roi" else 0.7
    assert (ious[labels == 1] < threshold).all()
    assert (ious[labels == 0] >= threshold).float().mean() > (0.99 if head == "roi" else 0)  # RPN: low quality too
    assert set(instances.tolist()) == {0, 1}
    assert not seen[1][2].any()


def test_evidence_of_proposals_holds_scores_and_boxes():
    _, seen, _ = evidence_of("roi")
    for labels, predictions, _, _ in seen:
        assert (
            predictions.boxes.shape == (len(labels), 4) and ((0 < predictions.scores) & (predictions.scores < 1)).all()
        )
    # at the start boxes are regressed by little, so those of the ground truth, the last, are nearly where they were
    target = tiny.batch()[1][0]["boxes"]
    assert (box_iou(seen[0][1].boxes[-2:], target).diagonal() > 0.7).all()


def test_evidence_of_proposals_is_of_the_best_foreground_class():
    """Class k of torchvision moves a box by k tenths of its width; class 2 has the best score after background."""
    spy = Spy()
    model = make_sampling_free(tiny.seeded(tiny.faster_rcnn), heads=("roi",), sampling={"roi": spy})
    predictor = model.roi_heads.box_predictor
    for layer in (predictor.cls_score, predictor.bbox_pred):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    predictor.cls_score.bias.data[:3] = torch.tensor([3.0, 0.0, 1.0])
    predictor.bbox_pred.bias.data[::4] = torch.arange(tiny.NUM_CLASSES) * 0.1 * model.roi_heads.box_coder.weights[0]
    images, targets = tiny.batch()
    tiny.losses_and_gradients(model, images, targets)
    (_, predictions, _, _), truth = spy.seen[0], targets[0]["boxes"]
    width = truth[:, 2] - truth[:, 0]
    torch.testing.assert_close(predictions.boxes[-len(truth) :, 0], truth[:, 0] + 0.2 * width)
    assert torch.allclose(predictions.scores, predictor.cls_score.bias.detach().softmax(0)[2])


def test_isr_keeps_the_sum_of_the_losses_and_moves_the_gradient():
    """Both rescalings together: the same loss as unweighted, but not the same gradient."""

    class Unweighted(ISR):
        def draw_weighted(self, *arguments):
            drawn, weights = super().draw_weighted(*arguments)
            return drawn, torch.ones_like(weights)

        def positive_weights(self, labels, *_):
            return torch.ones(len(labels))

    found = []
    for choice in (ISR(24, 0.25), Unweighted(24, 0.25)):
        model = make_sampling_free(
            tiny.seeded(tiny.faster_rcnn),
            heads=("roi",),
            sampling=choice,
            scaling=ConstantScaling(),
            normalizer=PerExample(),
        )
        found.append(tiny.losses_and_gradients(model, *tiny.batch()))
    (weighted, gradients), (plain, plain_gradients) = found
    torch.testing.assert_close(weighted["loss_classifier"], plain["loss_classifier"])
    name = "roi_heads.box_predictor.cls_score.weight"
    assert not torch.allclose(gradients[name], plain_gradients[name], rtol=1e-2)


def test_isr_s_gradient_is_the_weights_times_softmax_s():
    """Weights pass on no gradient: w (softmax - one-hot) / M."""
    weights, labels, logits = [], [], []

    class Spy(ISR):
        def draw_weighted(self, *arguments):
            drawn, of_drawn = super().draw_weighted(*arguments)
            weights.append(of_drawn[drawn.argsort()])  # torchvision keeps the order of the proposals
            return drawn, of_drawn

        def positive_weights(self, kinds, *arguments):
            labels.append(kinds)
            later = super().positive_weights(kinds, *arguments)
            assert later[kinds == 0].std() > 0.1  # three objects of one class: a first, a second, a third
            weights[:] = [torch.cat(weights) * later]
            return later

    choices = {"sampling": Spy(24, 0.25, k_negative=2), "scaling": ConstantScaling(), "normalizer": PerExample()}
    model = make_sampling_free(tiny.seeded(tiny.faster_rcnn), heads=("roi",), **choices).train()
    model.roi_heads.box_predictor.register_forward_hook(lambda module, inputs, output: logits.append(output[0]))
    images, targets = tiny.batch()
    one_class = [target | {"labels": torch.ones_like(target["labels"])} for target in targets]
    (gradient,) = torch.autograd.grad(model(images, one_class)["loss_classifier"], logits[-1])
    probabilities, columns = logits[-1].detach().softmax(dim=1), (labels[0] + 1) % tiny.NUM_CLASSES
    one_hot = torch.nn.functional.one_hot(columns, tiny.NUM_CLASSES)
    assert weights[0].std() > 0.1
    torch.testing.assert_close(gradient, weights[0][:, None] * (probabilities - one_hot) / len(columns))


def test_weights_of_one_change_nothing():
    """Exponents of 0: ISR's draw with torchvision's own loss, to the last digits."""
    found = []
    for choice in (ISR(24, 0.25, k_positive=0, k_negative=0), _DrawOnly(ISR(24, 0.25))):
        model = make_sampling_free(
            tiny.seeded(tiny.faster_rcnn),
            heads=("roi",),
            sampling=choice,
            scaling=ConstantScaling(),
            normalizer=PerExample(),
        )
        found.append(tiny.losses_and_gradients(model, *tiny.batch()))
    for name in found[0][0]:
        torch.testing.assert_close(found[0][0][name], found[1][0][name])
    for name, gradient in found[0][1].items():
        if gradient is not None:
            torch.testing.assert_close(gradient, found[1][1][name], rtol=1e-3, atol=1e-5)


class _DrawOnly:
    def __init__(self, isr):
        self.isr = isr

    def __call__(self, labels, num_classes, evidence=None):
        return self.isr(labels, num_classes, evidence)


def test_ohem_trains_on_the_highest_losses():
    spy = Spy()
    model = make_sampling_free(tiny.seeded(tiny.faster_rcnn), sampling={"rpn": spy}, boundary_threshold=-1)
    tiny.losses_and_gradients(model, *tiny.batch())
    for labels, predictions, _, _ in spy.seen:
        known = type("Known", (), {"predictions": predictions})()
        kept = OnlineHardExamples(40, 0.5)(labels, 1, known)
        for kind in (0, 1):
            left = predictions.losses[(labels == kind) & (kept < 0)]
            taken = predictions.losses[(labels == kind) & (kept >= 0)]
            assert not len(left) or not len(taken) or left.max() <= taken.min()


@pytest.mark.parametrize(
    ("message", "builder", "choices"),
    [
        ("ISR makes no sense in a region proposal network", tiny.faster_rcnn, {"sampling": ISR()}),
        ("such as AllExamples.., but FocalLoss is none", tiny.faster_rcnn, {"sampling": {"roi": FocalLoss()}}),
        ("and box_loss= apply to one-stage models", tiny.faster_rcnn, {"box_loss": GHMR()}),
        ("sampling= applies to two-stage models", tiny.retinanet, {"sampling": OnlineHardExamples()}),
        ("ISR chooses examples of a two-stage model", tiny.retinanet, {"classification_loss": ISR()}),
        ("GHMR is no classification loss", tiny.fcos, {"classification_loss": GHMR()}),
        ("GHMR makes no sense in FCOS", tiny.fcos, {"box_loss": GHMR()}),
        ("GHMC is no box loss", tiny.retinanet, {"box_loss": GHMC()}),
    ],
)
def test_nonsense_is_refused(message, builder, choices):
    with pytest.raises(UserError, match=message):
        make_sampling_free(builder(), **choices)
