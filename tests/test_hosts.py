"""The hosts agree: for the same logits, box deltas and labels both give the same losses and gradients.

Box losses are set alike (torchvision's smooth L1 with beta 1/9 in two-stage models); what else they are, is each host's
own. Letters: N images, A anchors per place, C classes, R examples of an image.
"""

import pytest

import tests.detectron2  # noqa: F401 - imports detectron2 where its warnings do not count

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import torch
from detectron2.config import LazyCall as L
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torchvision.ops import box_iou

from sampling_free import detectron2, torchvision
from sampling_free.mechanism import FrozenScaling, GuidedScaling, LearnedScaling
from sampling_free.torchvision.roi_heads import Samples
from tests.detectron2 import small
from tests.torchvision import tiny

N, C, STRIDES, SIZE = 2, tiny.NUM_CLASSES, (8, 16), 64
BETA = 1 / 9
BOXES = [torch.tensor([[4.0, 6, 30, 28], [20, 20, 60, 62]]), torch.tensor([[10.0, 2, 50, 40]])]
CLASSES = [torch.tensor([1, 3]), torch.tensor([0])]
EMPTY = pytest.mark.parametrize("empty", [(), (0,), (0, 1)], ids=["boxes", "one image empty", "no boxes"])


class Scene:
    """Anchors, boxes and matches of N images, in the words of both hosts.

    Args:
        num_anchors: A; squares of doubling sides.
        empty: images without boxes.
        low: overlap below which an anchor is background; from there to `high` it is ignored.
        high: overlap from which it is foreground.
    """

    def __init__(self, num_anchors, empty, low=0.3, high=0.4):
        self.truth = [(BOXES[i][:0], CLASSES[i][:0]) if i in empty else (BOXES[i], CLASSES[i]) for i in range(N)]
        self.levels = [self._level(stride, num_anchors) for stride in STRIDES]
        self.anchors = torch.cat(self.levels)
        self.per_level = [Boxes(level) for level in self.levels]
        self.found = [self._matches(boxes, low, high) for boxes, _ in self.truth]
        kinds = set(torch.cat(self.found).clamp(max=0).tolist())
        assert kinds == ({-1} if empty == (0, 1) else {0, -1} if low == high else {0, -1, -2})

    @staticmethod
    def _level(stride, num_anchors):
        """`(H*W*A, 4)` around the points of a grid."""
        points = torch.meshgrid(*[torch.arange(SIZE // stride)] * 2, indexing="xy")
        centers = ((torch.stack(points, dim=-1).flatten(0, 1) + 0.5) * stride)[:, None]
        halves = (stride * 2 ** torch.arange(num_anchors) / 2)[None, :, None]
        return torch.cat([centers - halves, centers + halves], dim=2).flatten(0, 1)

    def _matches(self, boxes, low, high):
        """`(R,)`, torchvision's: index of the box that an anchor overlaps, -1 background, -2 ignored."""
        if not len(boxes):
            return torch.full((len(self.anchors),), -1)
        overlap, best = box_iou(self.anchors, boxes).max(dim=1)
        return torch.where(overlap >= high, best, torch.where(overlap < low, -1, -2))

    @property
    def targets(self):
        """torchvision's ground truth."""
        return [{"boxes": boxes, "labels": classes} for boxes, classes in self.truth]

    @property
    def labels(self):
        """detectron2's, per image `(R,)`: a class, C for background, -1 ignored."""
        pairs = zip(self.found, self.truth, strict=True)
        return [torch.cat([c, torch.tensor([C, -1])])[torch.where(m < 0, len(c) - 1 - m, m)] for m, (_, c) in pairs]

    @property
    def objectness(self):
        """Both hosts', per image `(R,)`: 1, 0, -1 ignored."""
        return [torch.where(m >= 0, 1, m + 1) for m in self.found]

    @property
    def matched(self):
        """Per image `(R, 4)`, the matched boxes."""
        pairs = zip(self.found, self.truth, strict=True)
        return [boxes[m.clamp(min=0)] if len(boxes) else torch.zeros(len(m), 4) for m, (boxes, _) in pairs]

    def maps(self, channels):
        """Both hosts' copies of random raw maps `(N, channels, H, W)`, per level."""
        return copies([torch.randn(N, channels, SIZE // stride, SIZE // stride) for stride in STRIDES])

    def rows(self, *width, positive=False):
        """Both hosts' copies of random rows `(N, H*W*A, width)`, per level."""
        rows = [torch.randn(N, len(level), *width) for level in self.levels]
        return copies([row.abs() + 0.1 for row in rows] if positive else rows)


def copies(tensors):
    return [[tensor.clone().requires_grad_() for tensor in tensors] for _ in range(2)]


def assert_alike(ours, theirs, our_predictions, their_predictions):
    """Losses, in order, and the gradients of the predictions: detectron2's form and torchvision's."""
    for (name, loss), other in zip(ours.items(), theirs.values(), strict=True):
        assert loss.item() == pytest.approx(other.item(), rel=1e-6, abs=1e-6), name
    sum(ours.values()).backward()
    sum(theirs.values()).backward()
    for mine, other in zip(our_predictions, their_predictions, strict=True):
        assert torch.allclose(mine.grad, other.grad, rtol=1e-5, atol=1e-7)


@EMPTY
@pytest.mark.parametrize("scaling", [LearnedScaling, GuidedScaling, FrozenScaling])
def test_retinanet(scaling, empty):
    num_anchors = 3
    scene = Scene(num_anchors, empty)
    our_maps, their_maps = scene.maps(num_anchors * C)
    our_deltas, their_deltas = scene.rows(4)

    node = small.retinanet()
    node.num_classes = C
    model = small.built(detectron2.make_sampling_free(node, scaling=L(scaling)()))
    ours = model.losses(scene.per_level, our_maps, scene.labels, our_deltas, scene.matched)

    head = torchvision.make_sampling_free(tiny.seeded(tiny.retinanet), scaling=scaling()).head
    outputs = {"cls_logits": their_maps, "bbox_regression": torch.cat(their_deltas, dim=1)}
    theirs = head.compute_loss(scene.targets, outputs, [scene.anchors] * N, scene.found)
    assert_alike(ours, theirs, our_maps + our_deltas, their_maps + their_deltas)


@EMPTY
@pytest.mark.parametrize(("scaling", "options"), [(LearnedScaling, {}), (FrozenScaling, {"num_losses": 3})])
def test_fcos(scaling, options, empty):
    scene = Scene(1, empty, low=0.05, high=0.05)
    # a point outside its box has no centerness; predicted distances are positive, in strides
    points = (scene.anchors[:, :2] + scene.anchors[:, 2:]) / 2
    for matches, boxes in zip(scene.found, scene.matched, strict=True):
        matches[((points <= boxes[:, :2]) | (points >= boxes[:, 2:])).any(dim=1)] = -1
    our_maps, their_maps = scene.maps(C)
    our_deltas, their_deltas = scene.rows(4, positive=True)
    our_centers, their_centers = scene.rows(1)

    node = small.fcos()
    node.num_classes = C
    model = small.built(detectron2.make_sampling_free(node, scaling=L(scaling)(**options)))
    ours = model.losses(scene.per_level, our_maps, scene.labels, our_deltas, scene.matched, our_centers)

    head = torchvision.make_sampling_free(tiny.seeded(tiny.fcos), scaling=scaling(**options)).head
    deltas, centers = torch.cat(their_deltas, dim=1), torch.cat(their_centers, dim=1)
    outputs = {"cls_logits": their_maps, "bbox_regression": deltas, "bbox_ctrness": centers}
    theirs = head.compute_loss(scene.targets, outputs, [scene.anchors] * N, scene.found)
    assert_alike(ours, theirs, our_maps + our_deltas + our_centers, their_maps + their_deltas + their_centers)


@EMPTY
def test_rpn(empty):
    scene = Scene(2, empty)
    our_logits, their_logits = scene.rows()
    our_deltas, their_deltas = scene.rows(4)

    node = small.faster_rcnn()
    node.proposal_generator.smooth_l1_beta = BETA
    rpn = small.built(detectron2.make_sampling_free(node)).proposal_generator
    ours = rpn.losses(scene.per_level, our_logits, scene.objectness, our_deltas, scene.matched)

    rpn = torchvision.make_sampling_free(tiny.seeded(tiny.faster_rcnn)).rpn
    wanted = rpn.box_coder.encode(scene.matched, [scene.anchors] * N)
    logits, deltas = torch.cat(their_logits, dim=1).reshape(-1, 1), torch.cat(their_deltas, dim=1).reshape(-1, 4)
    theirs = rpn.losses(logits, deltas, [label.float() for label in scene.objectness], wanted)
    assert_alike(ours, theirs, our_logits + our_deltas, their_logits + their_deltas)


@EMPTY
def test_roi_heads(empty):
    scene = Scene(2, empty, low=0.3, high=0.3)  # the anchors serve as proposals
    num_rows = N * len(scene.anchors)
    (our_scores, our_deltas), (their_scores, their_deltas) = copies(
        [torch.randn(num_rows, C + 1), torch.randn(num_rows, 4 * C)]
    )

    node = small.faster_rcnn()
    node.roi_heads.num_classes = C
    node.roi_heads.box_predictor.smooth_l1_beta = BETA
    heads = small.built(detectron2.make_sampling_free(node)).roi_heads
    proposals = [
        Instances((SIZE, SIZE), proposal_boxes=Boxes(scene.anchors), gt_boxes=Boxes(boxes), gt_classes=classes)
        for boxes, classes in zip(scene.matched, scene.labels, strict=True)
    ]
    with EventStorage():
        ours = heads.losses([((our_scores, our_deltas), proposals)])

    heads = torchvision.make_sampling_free(tiny.seeded(tiny.faster_rcnn)).roi_heads
    # torchvision's background is 0, and has box deltas
    labels = [torch.where(classes == C, 0, classes + 1) for classes in scene.labels]
    scores = torch.cat([their_scores[:, C:], their_scores[:, :C]], dim=1)
    deltas = torch.cat([torch.zeros(num_rows, 4), their_deltas], dim=1)
    wanted = heads.box_coder.encode(scene.matched, [scene.anchors] * N)
    samples = Samples([scene.anchors] * N, [matches.clamp(min=0) for matches in scene.found], labels, wanted)
    theirs = heads.losses((scores, deltas), samples, scene.targets)
    assert_alike(ours, theirs, [our_scores, our_deltas], [their_scores, their_deltas])
