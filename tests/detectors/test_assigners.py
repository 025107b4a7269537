"""Each assigner against its paper, written out in loops over anchors and boxes."""

import statistics

import pytest
import torch
from sklearn.mixture import GaussianMixture

from sampling_free.detectors import paa
from sampling_free.detectors.anchors import AnchorGrid
from sampling_free.detectors.assigners import (
    BACKGROUND,
    IGNORED,
    AdaptiveAssigner,
    BalancedCost,
    FoveaAssigner,
    ProbabilisticAssigner,
    ResponsibleAssigner,
    SummedCost,
)
from sampling_free.detectors.codings import DeltaCoding, YoloCoding
from sampling_free.detectors.maps import Maps, Predicted
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import SigmoidCrossEntropy
from tests.detectors import cases

SEEDS = range(200)


def levels_of(anchors):
    """Index ranges of the levels."""
    start = 0
    for count in anchors.counts:
        yield range(start, start + count)
        start += count


def center(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def atss_in_loops(anchors, boxes, topk):
    """ATSS, Algorithm 1."""
    all_anchors = anchors.boxes.tolist()
    claims = {}
    for index, box in enumerate(boxes):
        x, y = center(box)
        candidates = []
        for level in levels_of(anchors):
            near = sorted(
                level, key=lambda a: ((center(all_anchors[a])[0] - x) ** 2 + (center(all_anchors[a])[1] - y) ** 2, a)
            )
            candidates += near[:topk]
        ious = [cases.iou(all_anchors[a], box) for a in candidates]
        threshold = statistics.fmean(ious) + (statistics.stdev(ious) if len(ious) > 1 else 0)
        for a, value in zip(candidates, ious, strict=True):
            ax, ay = center(all_anchors[a])
            inside = min(ax - box[0], ay - box[1], box[2] - ax, box[3] - ay) > 0.01
            if value >= threshold and inside and value > claims.get(a, (-1, None))[0]:
                claims[a] = (value, index)
    return [claims.get(a, (0, BACKGROUND))[1] for a in range(len(all_anchors))]


@pytest.mark.parametrize(("scale", "topk", "seeds"), [(8, 9, SEEDS), (3, 9, SEEDS[::4]), (8, 2, SEEDS[::4])])
def test_atss(scale, topk, seeds):
    found = 0
    for seed in seeds:
        size, boxes, classes = cases.draw(seed)
        anchors = cases.squares(scale)(cases.maps_of(*size))
        matches = AdaptiveAssigner(topk)(anchors, boxes, classes)
        assert matches.tolist() == atss_in_loops(anchors, boxes.tolist(), topk), seed
        found += int((matches >= 0).sum())
    assert found > 2 * len(seeds)


def fovea_in_loops(anchors, boxes, last_level):
    """FoveaBox, Section III, in whole numbers; larger boxes are painted first, of equals the later one."""
    painted = [BACKGROUND] * len(anchors.boxes)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in boxes]
    for index in sorted(range(len(boxes)), key=lambda i: (-areas[i], -i)):
        x1, y1, x2, y2 = boxes[index]
        for level, places in enumerate(levels_of(anchors)):
            edge = anchors.sizes[places[0], 0].item()
            if (level and areas[index] < edge**2) or (level < last_level and areas[index] > (4 * edge) ** 2):
                continue
            for a in places:
                x, y = anchors.centers[a].tolist()
                covered = 5 * abs(2 * x - x1 - x2) <= 2 * (x2 - x1) and 5 * abs(2 * y - y1 - y2) <= 2 * (y2 - y1)
                painted[a] = index if covered else painted[a]
    return painted


def test_foveabox():
    found = 0
    for seed in SEEDS:
        size, boxes, classes = cases.draw(seed)
        anchors = cases.squares(2)(cases.maps_of(*size))
        matches = FoveaAssigner()(anchors, boxes, classes)
        assert matches.tolist() == fovea_in_loops(anchors, boxes.tolist(), 2), seed
        found += int((matches >= 0).sum())
    assert found > 300


def yolo_in_loops(anchors, sizes, strides, extent, boxes):
    """YOLOv3's responsible anchors as darknet finds them: box after box, the best shape, the cell of the centre."""
    matches = [BACKGROUND] * len(anchors.boxes)
    starts = [places[0] for places in levels_of(anchors)]
    shapes = [(level, a, shape) for level, level_sizes in enumerate(sizes) for a, shape in enumerate(level_sizes)]
    for index, box in enumerate(boxes):
        wanted = (0, 0, box[2] - box[0], box[3] - box[1])
        best, best_iou = None, -1
        for level, a, shape in shapes:
            value = cases.iou((0, 0, *shape), wanted)
            if value > best_iou:
                best, best_iou = (level, a), value
        level, a = best
        width, height = extent[0] // strides[level], extent[1] // strides[level]
        x, y = (int(value // strides[level]) for value in center(box))
        place = min(y, height - 1) * width + min(x, width - 1)
        matches[starts[level] + place * len(sizes[level]) + a] = index
    return matches


def test_yolov3():
    grid = AnchorGrid(cases.STRIDES, cases.YOLO_SIZES)
    for seed in SEEDS:
        (height, width), boxes, classes = cases.draw(seed)
        height, width = -(-height // 32) * 32, -(-width // 32) * 32
        anchors = grid(cases.maps_of(height, width))
        matches = ResponsibleAssigner()(anchors, boxes, classes)
        expected = yolo_in_loops(anchors, cases.YOLO_SIZES, cases.STRIDES, (width, height), boxes.tolist())
        assert matches.tolist() == expected, seed


def test_yolov3_takes_the_last_cell_for_a_centre_on_the_far_border():
    anchors = AnchorGrid((8,), [[(8, 8)]])([(4, 4)])
    matches = ResponsibleAssigner()(anchors, torch.tensor([[31.0, 31, 33, 33]]), torch.tensor([0]))
    assert matches.tolist() == [BACKGROUND] * 15 + [0]


def predicted(anchors, grid, size, coding, classes=3, seed=0, scale=1.0):
    """Random maps of one image."""
    generator = torch.Generator().manual_seed(seed)
    count = grid.num_anchors
    logits, boxes = (
        [scale * torch.randn(1, count * width, *level, generator=generator) for level in cases.maps_of(*size)]
        for width in (classes, 4)
    )
    return Predicted(Maps(logits, boxes, []), anchors, coding, classes)


def test_yolov3_ignores_what_predicts_a_box_well_already():
    grid = AnchorGrid(cases.STRIDES, cases.YOLO_SIZES)
    ignored = 0
    for seed in SEEDS:
        size, boxes, classes = cases.draw(seed)
        anchors = grid(cases.maps_of(*size))
        guess = predicted(anchors, grid, size, YoloCoding(), seed=seed)
        matches = ResponsibleAssigner(0.5)(anchors, boxes, classes, guess).tolist()
        responsible = ResponsibleAssigner()(anchors, boxes, classes).tolist()
        for match, alone, box in zip(matches, responsible, guess.boxes().tolist(), strict=True):
            close = any(cases.iou(box, truth) > 0.5 for truth in boxes.tolist())
            assert match == (alone if alone >= 0 else IGNORED if close else BACKGROUND)
            ignored += match == IGNORED
        assert ResponsibleAssigner(1)(anchors, boxes, classes, guess).tolist() == responsible
    assert ignored > 20


def candidates_in_loops(anchors, boxes, least):
    """PAA's first step: anchor -> its box."""
    if not boxes:
        return {}
    all_anchors = anchors.boxes.tolist()
    table = [[cases.iou(anchor, box) for box in boxes] for anchor in all_anchors]
    best = {a: row.index(max(row)) for a, row in enumerate(table)}
    chosen = {a for a, row in enumerate(table) if max(row) >= least}
    for i in range(len(boxes)):
        most = max(row[i] for row in table)
        chosen |= {a for a, row in enumerate(table) if most > 0 and row[i] == most}
    return {a: best[a] for a in chosen}


def separated(costs):
    """Positions of the foreground among costs in increasing order, by scikit-learn's mixture as PAA's code uses it."""
    if len(costs) == 1:
        return [0]
    values = torch.tensor(costs, dtype=torch.float64).numpy().reshape(-1, 1)
    start = dict(weights_init=[0.5, 0.5], means_init=[[costs[0]], [costs[-1]]], precisions_init=[[[1.0]], [[1.0]]])
    mixture = GaussianMixture(2, **start).fit(values)
    components, likelihood = mixture.predict(values), mixture.score_samples(values)
    members = [i for i, component in enumerate(components) if component == 0]
    if not members:
        return list(range(len(costs)))
    last = max(members, key=lambda i: (likelihood[i], -i))
    return list(range(last + 1))


def paa_in_loops(anchors, boxes, classes, guess, assigner):
    """PAA, Algorithm 1."""
    matches = [BACKGROUND] * len(anchors.boxes)
    of_box = candidates_in_loops(anchors, boxes.tolist(), 0.1)
    candidates = torch.tensor(sorted(of_box), dtype=torch.int64)
    their_boxes = torch.tensor([of_box[a] for a in candidates.tolist()], dtype=torch.int64)
    # of all candidates at once, for a cost may depend on the others
    costs = assigner.cost(candidates, boxes[their_boxes], classes[their_boxes], guess) if len(candidates) else []
    of_anchor = {a: float(cost) for a, cost in zip(candidates.tolist(), costs, strict=True)}
    for index in range(len(boxes)):
        kept = []
        for level in levels_of(anchors):
            mine = torch.tensor([a for a in level if of_box.get(a) == index], dtype=torch.int64)
            costs = [of_anchor[a] for a in mine.tolist()]
            kept += sorted(zip(costs, mine.tolist(), strict=True))[: assigner.topk]
        if kept:
            kept.sort()
            for position in separated([cost for cost, _ in kept]):
                matches[kept[position][1]] = index
    return matches


@pytest.mark.filterwarnings("ignore:Best performing initialization did not converge")
@pytest.mark.parametrize(
    ("loss", "ranking"),
    [(SigmoidCrossEntropy(), SummedCost()), (SigmoidCrossEntropy(), BalancedCost()), (FocalLoss(), SummedCost())],
    ids=lambda choice: type(choice).__name__,
)
def test_paa(loss, ranking):
    grid, assigner, found = cases.squares(4), ProbabilisticAssigner(loss, ranking=ranking), 0
    for seed in SEEDS[:: 1 if isinstance(loss, SigmoidCrossEntropy) else 8]:
        size, boxes, classes = cases.draw(seed)
        anchors = grid(cases.maps_of(*size))
        guess = predicted(anchors, grid, size, DeltaCoding(), seed=seed)
        matches = assigner(anchors, boxes, classes, guess)
        assert matches.tolist() == paa_in_loops(anchors, boxes, classes, guess, assigner), seed
        found += int((matches >= 0).sum())
    assert found > 50


@pytest.mark.filterwarnings("ignore:Best performing initialization did not converge")
@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_paa_with_equal_costs():
    """A network that says the same everywhere: anchors that lie alike cost alike, and the earlier one comes first."""
    grid, assigner = cases.squares(4), ProbabilisticAssigner(SigmoidCrossEntropy())
    for seed in SEEDS[::4]:
        size, boxes, classes = cases.draw(seed)
        anchors = grid(cases.maps_of(*size))
        guess = predicted(anchors, grid, size, DeltaCoding(), seed=seed, scale=0.0)
        matches = assigner(anchors, boxes, classes, guess)
        assert matches.tolist() == paa_in_loops(anchors, boxes, classes, guess, assigner), seed


def test_paa_counts_at_most_topk_candidates_of_a_level_without_predictions():
    assigner = ProbabilisticAssigner(SigmoidCrossEntropy(), topk=4)
    grid = cases.squares(4)
    for seed in SEEDS[::5]:
        size, boxes, classes = cases.draw(seed)
        anchors = grid(cases.maps_of(*size))
        matches = assigner(anchors, boxes, classes)
        of_box = candidates_in_loops(anchors, boxes.tolist(), 0.1)
        for index in range(len(boxes)):
            for level in levels_of(anchors):
                mine = [a for a in level if of_box.get(a) == index]
                best = sorted(mine, key=lambda a: (-cases.iou(anchors.boxes[a].tolist(), boxes[index].tolist()), a))[:4]
                assert [a for a in level if matches[a] == index] == sorted(best)
        guess = predicted(anchors, grid, size, DeltaCoding(), seed=seed)
        assert (assigner(anchors, boxes, classes, guess) >= 0).sum() <= (matches >= 0).sum()


@pytest.mark.parametrize("loss", [SigmoidCrossEntropy(), FocalLoss(0.3, 1.5)], ids=lambda loss: type(loss).__name__)
def test_paa_s_cost_is_classification_over_all_classes_and_giou(loss):
    grid, size, coding = cases.squares(4), (64, 96), DeltaCoding()
    anchors = grid(cases.maps_of(*size))
    guess = predicted(anchors, grid, size, coding)
    example, truth, classes = torch.tensor([3, 100, 5]), torch.tensor([[4.0, 4, 40, 30]] * 3), torch.tensor([2, 0, 1])
    costs = ProbabilisticAssigner(loss).cost(example, truth, classes, guess)
    for row, (index, label) in enumerate(zip(example, classes, strict=True)):
        alone = loss(guess.logits(index[None]), label[None], 3).item()
        box, (x1, y1, x2, y2) = guess.boxes(index[None])[0].tolist(), truth[row].tolist()
        hull = (max(box[2], x2) - min(box[0], x1)) * (max(box[3], y2) - min(box[1], y1))
        areas = (box[2] - box[0]) * (box[3] - box[1]) + (x2 - x1) * (y2 - y1)
        overlap = cases.iou(box, (x1, y1, x2, y2))
        union = areas / (1 + overlap)
        assert costs[row].item() == pytest.approx(alone + 1 - overlap + (hull - union) / hull, rel=1e-5)


def test_the_balanced_cost_gives_both_losses_one_sum():
    classification, localization = torch.tensor([8.0, 1.0, 3.0]), torch.tensor([0.5, 0.9, 0.1])
    balanced = BalancedCost()(classification, localization)
    assert balanced.tolist() == pytest.approx([8 / 8 + 0.5, 1 / 8 + 0.9, 3 / 8 + 0.1])
    # the best box comes first, where the sum would let classification alone decide
    assert balanced.argmin() == 2 and SummedCost()(classification, localization).argmin() == 1
    assert BalancedCost()(torch.zeros(2), torch.tensor([0.2, 0.1])).tolist() == pytest.approx([0.2, 0.1])
    assert BalancedCost()(torch.zeros(0), torch.zeros(0)).tolist() == []


def test_paa_ranks_by_its_own_cost_with_focal_loss_and_else_by_the_balanced_one():
    assert isinstance(paa(3).assigner.ranking, BalancedCost)
    assert isinstance(paa(3, classification_loss=FocalLoss()).assigner.ranking, SummedCost)
    assert isinstance(paa(3, ranking=SummedCost()).assigner.ranking, SummedCost)


@pytest.mark.parametrize("loss", [SigmoidCrossEntropy(), FocalLoss()], ids=lambda loss: type(loss).__name__)
def test_losses_of_each_example_add_up(loss):
    logits, labels = torch.randn(40, 3), torch.randint(-1, 4, (40,))
    each = loss.each(logits, labels, 3)
    torch.testing.assert_close(each.sum(), loss(logits, labels, 3))
    assert not each[labels < 0].any()
    row = 7 if labels[7] >= 0 else int(torch.where(labels >= 0)[0][0])
    torch.testing.assert_close(each[row], loss(logits[row : row + 1], labels[row : row + 1], 3))


@pytest.mark.parametrize(
    "assigner",
    [AdaptiveAssigner(), FoveaAssigner(), ResponsibleAssigner(), ProbabilisticAssigner(SigmoidCrossEntropy())],
    ids=lambda assigner: type(assigner).__name__,
)
def test_five_hundred_boxes_and_none(assigner):
    anchors = cases.squares(4)(cases.maps_of(256, 256))
    corners = torch.rand(500, 2) * 200
    boxes = torch.cat([corners, corners + 4 + torch.rand(500, 2) * 50], dim=1)
    matches = assigner(anchors, boxes, torch.zeros(500, dtype=torch.int64), None)
    assert -1 <= matches.min() and matches.max() < 500 and (matches >= 0).sum() > 100
    assert assigner(anchors, boxes[:0], torch.zeros(0, dtype=torch.int64), None).eq(BACKGROUND).all()
