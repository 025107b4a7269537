"""Codings, overlaps, box losses and score voting: inverses and worked examples."""

import math

import pytest
import torch
from torchvision.ops import box_iou

from sampling_free.boxes import centerness, paired_iou, pairwise_iou
from sampling_free.detectors import AnchorGrid, Centerness, Objectness, PredictedIoU, ScoreVoting, Suppression
from sampling_free.detectors.box_losses import GIoULoss, SmoothL1Loss, YoloLoss
from sampling_free.detectors.codings import DeltaCoding, FoveaCoding, YoloCoding
from sampling_free.detectors.maps import Maps, rows_at
from sampling_free.detectors.quality import Foreground
from sampling_free.heuristics.focal import rows_of_maps


def boxes_around(points, least=4, spread=40):
    """Random boxes that hold their points."""
    extent = least + spread * torch.rand(len(points), 4)
    return torch.cat([points - extent[:, :2], points + extent[:, 2:]], dim=1)


GRID = AnchorGrid((8, 16), [[(16, 16), (12, 30)], [(64, 40), (20, 20)]])


def test_anchors_stand_around_the_middle_of_their_cells_in_the_order_of_rows():
    anchors = GRID([(2, 3), (1, 2)])
    assert anchors.counts == (12, 4) and anchors.extent == (24, 16)
    assert anchors.boxes[:4].tolist() == [[-4, -4, 12, 12], [-2, -11, 10, 19], [4, -4, 20, 12], [6, -11, 18, 19]]
    assert anchors.centers[6].tolist() == [4, 12]  # the second row
    assert anchors.boxes[12].tolist() == [8 - 32, 8 - 20, 8 + 32, 8 + 20]
    assert anchors.strides.tolist() == [8] * 12 + [16] * 4 and anchors.levels.tolist() == [0] * 12 + [1] * 4


@pytest.mark.parametrize("coding", [DeltaCoding(), DeltaCoding((1, 1, 1, 1)), FoveaCoding(), YoloCoding()])
def test_decoding_inverts_encoding(coding):
    anchors = GRID([(9, 9), (5, 5)])
    boxes = boxes_around(anchors.centers)
    if isinstance(coding, YoloCoding):  # the centre lies in the anchor's cell
        middle = anchors.centers + (torch.rand_like(anchors.centers) - 0.5) * 0.98 * anchors.strides[:, None]
        half = 2 + 30 * torch.rand_like(middle)
        boxes = torch.cat([middle - half, middle + half], dim=1)
    elif isinstance(coding, FoveaCoding):  # whose anchors are square
        anchors = AnchorGrid.squares((8, 16), 2)([(9, 9), (5, 5)])
        boxes = boxes_around(anchors.centers)
    torch.testing.assert_close(coding.decode(coding.encode(boxes, anchors), anchors), boxes, rtol=1e-4, atol=2e-3)


def test_deltas_by_hand():
    anchors = AnchorGrid((8,), [[(16, 16)]])([(1, 1)])  # around (4, 4)
    raw = DeltaCoding().encode(torch.tensor([[2.0, 0, 34, 16]]), anchors)  # around (18, 8), 32 x 16
    assert raw[0].tolist() == pytest.approx([10 * 14 / 16, 10 * 4 / 16, 5 * math.log(2), 0])


def test_no_box_is_decoded_without_end():
    anchors = GRID([(1, 1), (1, 1)])
    for coding in (DeltaCoding(), FoveaCoding(), YoloCoding()):
        assert coding.decode(torch.full((4, 4), 1e4), anchors).isfinite().all()


def test_foveabox_regression_by_hand():
    """A cell at (20, 28) of the level with base edge 16, a box from (12, 12) to (68, 60)."""
    anchors = AnchorGrid.squares((8,), 2)([(4, 3)]).at(torch.tensor([11]))
    assert anchors.centers.tolist() == [[20, 28]]
    raw = FoveaCoding().encode(torch.tensor([[12.0, 12, 68, 60]]), anchors)
    assert raw[0].tolist() == pytest.approx([math.log(8 / 16), 0, math.log(48 / 16), math.log(32 / 16)])
    far = FoveaCoding().encode(torch.tensor([[19.5, -500, 21, 60]]), anchors)
    assert far[0, :3].tolist() == pytest.approx([math.log(1 / 16), math.log(16), math.log(1 / 16)])  # clipped


def test_overlaps():
    one, other = boxes_around(torch.rand(30, 2) * 60), boxes_around(torch.rand(30, 2) * 60)
    torch.testing.assert_close(pairwise_iou(one, other), box_iou(one, other))
    torch.testing.assert_close(paired_iou(one, other), box_iou(one, other).diagonal())
    nothing = torch.zeros(1, 4)
    assert pairwise_iou(nothing, nothing).item() == paired_iou(nothing, nothing).item() == 0


def test_centerness_by_hand():
    boxes = torch.tensor([[0.0, 0, 4, 8]]).expand(4, 4)
    points = torch.tensor([[2.0, 4], [1, 4], [1, 2], [5, 4]])
    assert centerness(points, boxes).tolist() == pytest.approx([1, math.sqrt(1 / 3), 1 / 3, 0])


def foreground(anchors, boxes, raw, coding, quality=None):
    return Foreground(anchors, boxes, raw, coding.decode(raw, anchors), quality)


def test_giou_loss_by_hand():
    """Boxes of side 2, shifted by (1, 1): IoU 1/7, hull 9, union 7."""
    anchors = AnchorGrid((2,), [[(2, 2)]])([(1, 1)])
    rows = foreground(anchors, torch.tensor([[1.0, 1, 3, 3]]), torch.zeros(1, 4), DeltaCoding())
    assert GIoULoss()(rows, DeltaCoding()).item() == pytest.approx(1 - 1 / 7 + 2 / 9)
    assert PredictedIoU().weights(rows).item() == pytest.approx(1 / 7)


def test_smooth_l1_by_hand():
    coding, anchors = DeltaCoding((1, 1, 1, 1)), AnchorGrid((8,), [[(16, 16)]])([(1, 1)])
    raw = torch.tensor([[0.05, -1.0, 0, 0]])
    rows = foreground(anchors, anchors.boxes, raw, coding)
    assert SmoothL1Loss(0.11)(rows, coding).item() == pytest.approx(0.5 * 0.05**2 / 0.11 + 1 - 0.055)


def test_yolo_loss_and_its_gradient_by_hand():
    """A box of 16 x 8 px in an image of 32 x 32, its centre a quarter into its cell."""
    anchors = AnchorGrid((8,), [[(8, 8)]])([(4, 4)]).at(torch.tensor([5]))  # the cell around (12, 12)
    boxes = torch.tensor([[10 - 8, 10 - 4, 10 + 8, 10 + 4.0]])
    raw = torch.tensor([[0.3, -0.2, 0.1, 0.5]], requires_grad=True)
    loss = YoloLoss()(foreground(anchors, boxes, raw, YoloCoding()), YoloCoding())
    weight, sigmoid = 2 - 16 * 8 / 32**2, [1 / (1 + math.exp(-0.3)), 1 / (1 + math.exp(0.2))]
    entropy = sum(-0.25 * math.log(s) - 0.75 * math.log(1 - s) for s in sigmoid)
    squares = ((0.1 - math.log(2)) ** 2 + 0.5**2) / 2
    assert loss.item() == pytest.approx(weight * (entropy + squares), rel=1e-5)
    loss.sum().backward()
    # the paper: the gradient is the prediction less the target
    expected = [sigmoid[0] - 0.25, sigmoid[1] - 0.25, 0.1 - math.log(2), 0.5]
    assert raw.grad[0].tolist() == pytest.approx([weight * value for value in expected], rel=1e-5)


def test_rows_are_where_the_maps_say():
    maps = [torch.randn(2, 6, 3, 4), torch.randn(2, 6, 1, 2)]  # two anchors of three numbers
    image, example = torch.tensor([1, 0, 1, 0]), torch.tensor([27, 5, 0, 24])
    rows = rows_at(maps, image, example, 3)
    assert torch.equal(rows, rows_of_maps(maps, 3)[image, example])
    assert torch.equal(rows[1], maps[0][0, 3:, 0, 2])  # the sixth example is the second anchor of the third cell
    assert torch.equal(rows[0], maps[1][1, 3:, 0, 1])


def test_scores():
    classes, quality = torch.tensor([0.64, 0.2]), torch.tensor([0.25, 0.8])
    assert Centerness().scores(classes, quality).tolist() == pytest.approx([0.4, 0.4])
    assert Centerness().thresholded(classes, quality) is classes
    assert Objectness().scores(classes, quality).tolist() == pytest.approx([0.16, 0.16])
    assert Objectness().thresholded(classes, quality).tolist() == pytest.approx([0.16, 0.16])


def test_objectness_trains_everything_and_classes_the_responsible_alone():
    labels = torch.tensor([[2, 3, -1, 0]])  # two objects, background, ignored
    assert Objectness().classification_labels(labels, 3).tolist() == [[2, -1, -1, 0]]
    logits = torch.tensor([0.5, -1.0, 9.0, 2.0])
    maps = Maps([], [], [logits.reshape(1, 1, 2, 2)])
    loss = Objectness().losses(maps, labels, None, 3)["objectness"]
    expected = sum(math.log1p(math.exp(value)) for value in (-0.5, -1.0, -2.0))
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_score_voting_by_hand():
    """Two boxes with IoU 8/12 and one far away; the first is moved, the second suppressed."""
    boxes = torch.tensor([[0.0, 0, 10, 1], [2, 0, 12, 1], [50, 0, 60, 1], [0, 0, 10, 1]])
    scores, labels = torch.tensor([0.9, 0.5, 0.3, 0.8]), torch.tensor([1, 1, 1, 2])
    voted, kept, classes = ScoreVoting(iou=0.5)(boxes, scores, labels)
    assert kept.tolist() == pytest.approx([0.9, 0.8, 0.3]) and classes.tolist() == [1, 2, 1]
    weight = 0.5 * math.exp(-((1 - 8 / 12) ** 2) / 0.025)
    shift = 2 * weight / (0.9 + weight)
    assert voted[0].tolist() == pytest.approx([shift, 0, 10 + shift, 1], rel=1e-4)
    torch.testing.assert_close(voted[1:], boxes[[3, 2]])  # another class, and nobody near
    plain, *_ = Suppression(iou=0.5, most=2)(boxes, scores, labels)
    assert torch.equal(plain, boxes[[0, 3]])


def test_nothing_to_suppress():
    for suppression in (Suppression(), ScoreVoting()):
        found = suppression(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
        assert [part.shape[0] for part in found] == [0, 0, 0]
