"""The skeleton: losses against formulas written out, detections against loops, and that each detector learns."""

import math

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torchvision.ops import batched_nms, box_iou

from sampling_free.boxes import centerness, paired_iou
from sampling_free.detectors import DeformableConv, dense
from sampling_free.detectors.dense import labels_of
from sampling_free.detectors.maps import Predicted
from sampling_free.errors import UserError
from sampling_free.heuristics import GHMC, GHMR, ISR, FocalLoss
from sampling_free.heuristics.focal import rows_of_maps
from sampling_free.mechanism import ConstantScaling, FrozenScaling, GuidedScaling, PerForeground, SigmoidCrossEntropy
from tests.detectors import small

NAMES = list(small.BUILDERS)
FURTHER = {"atss": ["bbox_ctrness"], "paa": ["bbox_iou"]}


def matches_of(model, maps, boxes, classes):
    """Per image, by the model's own assigner, which tests of its own compare with the papers."""
    anchors = model.anchors(maps.sizes)
    guesses = [Predicted(maps.of_image(i), anchors, model.coding, small.NUM_CLASSES) for i in range(len(boxes))]
    return anchors, [model.assigner(anchors, *image) for image in zip(boxes, classes, guesses, strict=True)]


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_the_formulas(name):
    """Plain sums: one-hot cross-entropy over all rows, box and quality losses row by row."""
    model = small.detector(name, scaling=ConstantScaling(1))
    maps, (boxes, classes) = small.maps_of(model), small.boxes_and_classes()
    losses = model.losses(maps, boxes, classes)
    anchors, matches = matches_of(model, maps, boxes, classes)
    rows, raws = rows_of_maps(maps.logits, small.NUM_CLASSES), rows_of_maps(maps.boxes, 4)
    classification, box_loss, weight_sum, quality_loss, count = 0.0, 0.0, 0.0, 0.0, 0
    for image in range(2):
        targets = torch.zeros_like(rows[image])
        for row, match in enumerate(matches[image].tolist()):
            if match < 0:
                continue
            count += 1
            targets[row, classes[image][match]] = 1
            anchor, box = anchors.at(torch.tensor([row])), boxes[image][match][None]
            decoded = model.coding.decode(raws[image, row][None], anchor)
            if name == "yolov3":
                place, ratio = model.coding.cell_and_ratio(box, anchor)
                share = (box[0, 2] - box[0, 0]) * (box[0, 3] - box[0, 1]) / (96 * 128)
                raw = raws[image, row]
                entropy = F.binary_cross_entropy(raw[:2].sigmoid(), place[0], reduction="sum")
                loss, weight = (2 - share) * (entropy + ((raw[2:] - ratio[0]) ** 2).sum() / 2), 1.0
            elif name == "foveabox":
                difference = (raws[image, row] - model.coding.encode(box, anchor)[0]).abs()
                loss = torch.where(difference < 0.11, difference**2 / 0.22, difference - 0.055).sum()
                weight = 1.0
            else:
                hull = (torch.maximum(decoded, box)[0, 2:] - torch.minimum(decoded, box)[0, :2]).prod()
                areas = [(b[0, 2:] - b[0, :2]).prod() for b in (decoded, box)]
                iou = box_iou(decoded, box)[0, 0]
                union = sum(areas) / (1 + iou)
                loss = 1 - iou + (hull - union) / hull
                weight = centerness(anchor.centers, box)[0] if name == "atss" else paired_iou(decoded, box)[0].detach()
                logit = rows_of_maps(maps.quality, 1)[image, row, 0]
                quality_loss = quality_loss - weight * F.logsigmoid(logit) - (1 - weight) * F.logsigmoid(-logit)
            box_loss, weight_sum = box_loss + weight * loss, weight_sum + weight
        ignored = matches[image] == -2
        classification += F.binary_cross_entropy_with_logits(rows[image][~ignored], targets[~ignored], reduction="sum")
    assert count > 1
    factor = {"atss": 2.0, "paa": 1.3}.get(name, 1.0)
    torch.testing.assert_close(losses["classification"], classification / count, rtol=1e-5, atol=0)
    torch.testing.assert_close(losses["bbox_regression"], factor * box_loss / weight_sum, rtol=1e-4, atol=1e-6)
    if name in FURTHER:
        weight = {"atss": 1.0, "paa": 0.5}[name]
        torch.testing.assert_close(losses[FURTHER[name][0]], weight * quality_loss / count, rtol=1e-5, atol=1e-6)
    assert list(losses) == ["classification", "bbox_regression", *FURTHER.get(name, [])]


def test_ghm_r_of_foveabox_is_the_mean_of_its_bins_means(monkeypatch):
    """Of the foreground's coded numbers, ten-fold, and not over their count, be there more in another process."""
    monkeypatch.setattr(dense, "mean_over_processes", lambda count: 3 * count)
    options = {"normalizer": PerForeground(localization_weight=10), "scaling": ConstantScaling(1)}
    model = small.detector("foveabox", box_loss=GHMR(mu=0.5, bins=4, momentum=0.0), **options)
    maps, (boxes, classes) = small.maps_of(model), small.boxes_and_classes()
    bins = {}
    anchors, matches = matches_of(model, maps, boxes, classes)
    for raw, image, matched in zip(rows_of_maps(maps.boxes, 4), boxes, matches, strict=True):
        for row in (matched >= 0).nonzero()[:, 0].tolist():
            target = model.coding.encode(image[matched[row]][None], anchors.at(torch.tensor([row])))[0]
            for difference in (raw[row] - target).tolist():
                length = math.hypot(difference, 0.5)
                bins.setdefault(int(4 * abs(difference) / length), []).append(length - 0.5)
    assert len(bins) > 1
    expected = 10 * sum(sum(losses) / len(losses) for losses in bins.values()) / len(bins)
    loss = model.losses(maps, boxes, classes)["bbox_regression"]
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert model.head.bbox_pred.bias.grad.any()
    assert "box_loss.loss.density.counts" in model.state_dict()
    assert model.losses(maps, *small.boxes_and_classes((0, 1)))["bbox_regression"] == 0


def test_class_scores_of_objectness_train_on_the_responsible_alone():
    model = small.detector("yolov3", "baseline")
    maps, (boxes, classes) = small.maps_of(model), small.boxes_and_classes()
    for level in maps.logits:
        level.retain_grad()
    losses = model.losses(maps, boxes, classes)
    losses["classification"].backward()
    _, matches = matches_of(model, maps, boxes, classes)
    touched = rows_of_maps([level.grad for level in maps.logits], small.NUM_CLASSES).abs().sum(dim=2) > 0
    assert torch.equal(touched, torch.stack(matches) >= 0)


@pytest.mark.parametrize("name", NAMES)
def test_classification_reads_the_raw_maps(name):
    seen = []

    class Spy(SigmoidCrossEntropy):
        def forward(self, logits, labels, num_classes):
            seen.extend(logits)
            return super().forward(logits, labels, num_classes)

    model = small.detector(name, classification_loss=Spy())
    maps = small.maps_of(model)
    model.losses(maps, *small.boxes_and_classes())
    assert all(level is raw for level, raw in zip(seen, maps.logits, strict=True))


@pytest.mark.parametrize(("name", "form"), small.FORMS)
@pytest.mark.parametrize("empty", [(0, 1), (1,)], ids=["no boxes", "one image empty"])
def test_losses_and_gradients_are_finite_without_foreground(name, form, empty):
    model = small.detector(name, form)
    losses = model.losses(small.maps_of(model), *small.boxes_and_classes(empty))
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    gradients = {name: parameter.grad for name, parameter in model.head.named_parameters()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    if empty == (0, 1):
        assert losses["bbox_regression"] == 0


@pytest.mark.parametrize("empty", [(), (0, 1)], ids=["boxes", "no boxes"])
@pytest.mark.parametrize("name", ["atss", "foveabox", "yolov3"])
def test_ghm_c_teaches_the_classifiers_and_is_not_divided(name, empty):
    model = small.detector(name, classification_loss=GHMC(momentum=0.0), scaling=ConstantScaling(1))
    maps, (boxes, classes) = small.maps_of(model), small.boxes_and_classes(empty)
    losses = model.losses(maps, boxes, classes)
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    for layer in model.head.classifiers:
        assert layer.weight.grad.isfinite().all() and layer.weight.grad.any()
    _, matches = matches_of(model, maps, boxes, classes)
    labels = torch.stack([labels_of(m, c, small.NUM_CLASSES) for m, c in zip(matches, classes, strict=True)])
    alone = GHMC(momentum=0.0)(rows_of_maps(maps.logits, small.NUM_CLASSES), labels, small.NUM_CLASSES)
    torch.testing.assert_close(losses["classification"], alone)


def one_of_two(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    torch.set_num_threads(1)
    for name in NAMES:
        model = small.detector(name, scaling=GuidedScaling())
        for step in range(2):  # first neither has a box, then one of them
            empty = (0, 1) if rank == 0 or step == 0 else ()
            losses = model.losses(small.maps_of(model), *small.boxes_and_classes(empty))
            model.zero_grad()
            sum(losses.values()).backward()
            assert all(loss.isfinite() for loss in losses.values()), (name, rank, step)
            assert all(p.grad is not None and p.grad.isfinite().all() for p in model.head.parameters()), (name, rank)
        torch.save((losses["bbox_regression"].item(), model.scaling.ratio.item()), f"{folder}/{name}-{rank}")
    dist.destroy_process_group()


def test_one_process_without_foreground(tmp_path):
    """Its box loss is 0, its ratio that of both processes, and the other's loss counts twice as much as alone."""
    mp.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    for name in NAMES:
        (empty, ratio), (full, other) = (torch.load(tmp_path / f"{name}-{rank}") for rank in (0, 1))
        model = small.detector(name, scaling=GuidedScaling())
        alone = model.losses(small.maps_of(model), *small.boxes_and_classes())["bbox_regression"].item()
        assert empty == 0 and ratio == other > 0
        assert full == pytest.approx(2 * alone, rel=1e-5)  # the mean of the processes' gradients is as of one


def test_a_deformable_convolution_starts_plain_and_reads_where_its_offsets_point():
    torch.manual_seed(0)
    layer, x = DeformableConv(4, 6), torch.randn(2, 4, 7, 9)
    torch.nn.init.normal_(layer.conv.bias)
    weight, bias = layer.conv.weight, layer.conv.bias
    plain = F.conv2d(x, weight / 2, bias, padding=1)  # the mask is sigmoid(0)
    assert torch.allclose(layer(x), plain, atol=1e-6)
    down, right, mask = layer.offset.bias.data.chunk(3)  # by place of the kernel
    down.fill_(2)
    right.fill_(-1)
    mask.fill_(100)
    moved = F.pad(x, (1, -1, -2, 2))
    inside = (..., slice(1, -1), slice(1, -1))
    assert torch.allclose(layer(x)[inside], F.conv2d(moved, weight, bias, padding=1)[inside], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_one_box_and_five_hundred(name):
    model = small.detector(name)
    corners = torch.rand(500, 2) * torch.tensor([100.0, 70])
    many = torch.cat([corners, corners + 3 + 20 * torch.rand(500, 2)], dim=1)
    boxes, classes = [many, torch.tensor([[3.0, 4, 90, 80]])], [torch.randint(0, 3, (500,)), torch.tensor([2])]
    losses = model.losses(small.maps_of(model), boxes, classes)
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize(("name", "form"), small.FORMS)
def test_detections_are_rows_above_the_threshold_decoded_and_suppressed(name, form):
    model = small.detector(name, form, score_threshold=0.0)
    maps, sizes = small.maps_of(model), [(96, 128), (80, 100)]
    anchors = model.anchors(maps.sizes)
    scores, raws = rows_of_maps(maps.logits, small.NUM_CLASSES).sigmoid(), rows_of_maps(maps.boxes, 4)
    certain = rows_of_maps(maps.quality, 1).sigmoid() if maps.quality else torch.ones_like(scores)
    ranked = {"atss": (scores * certain).sqrt(), "paa": (scores * certain).sqrt()}.get(name, scores * certain)
    compared = ranked if form == "baseline" and name == "yolov3" else scores
    model.score_threshold = float(compared.detach().quantile(0.6))
    for image, found in enumerate(model.detections(maps, sizes)):
        boxes = model.coding.decode(raws[image], anchors)
        height, width = sizes[image]
        limit = torch.tensor([width, height, width, height])
        boxes = torch.minimum(boxes.clamp(min=0), limit)
        row, label = (compared[image] > model.score_threshold).nonzero(as_tuple=True)
        wide = (boxes[row, 2:] > boxes[row, :2]).all(dim=1)
        row, label = row[wide], label[wide]
        kept = batched_nms(boxes[row], ranked[image][row, label], label, model.suppression.iou)[:100]
        assert len(found[1]) == len(kept) > 10
        torch.testing.assert_close(found[1], ranked[image][row, label][kept])
        assert torch.equal(found[2], label[kept])
        if name != "paa":  # its boxes vote, which a test of its own looks at
            torch.testing.assert_close(found[0], boxes[row][kept], rtol=1e-4, atol=1e-3)
        assert (found[0] >= 0).all() and (found[0] <= limit).all()


def test_topk_of_each_level():
    model = small.detector("foveabox", score_threshold=0.0, topk=5)
    model.suppression.iou = 1.0
    boxes, *_ = model.detections(small.maps_of(model, images=1), [(96, 128)])[0]
    assert 0 < len(boxes) <= 3 * 5


def test_prior_sets_every_classifier_and_the_threshold():
    for name in NAMES:
        model = small.detector(name)
        model.set_prior(1e-3)
        assert model.score_threshold == pytest.approx(3e-3)
        for level in small.maps_of(model).logits:
            assert level.mean().item() == pytest.approx(math.log(1e-3 / (1 - 1e-3)), abs=0.2)
        with pytest.raises(UserError, match="strictly between 0 and 1"):
            model.set_prior(1.0)


def test_labels_speak_the_mechanism_s_alphabet():
    matches, classes = torch.tensor([1, -1, -2, 0]), torch.tensor([2, 0])
    assert labels_of(matches, classes, 3).tolist() == [0, 3, -1, 2]
    assert labels_of(torch.tensor([-1, -1]), classes[:0], 3).tolist() == [3, 3]


def test_every_scaling_and_the_released_one():
    """Three losses, so the released code's scale counts three."""
    model = small.detector("atss", scaling=FrozenScaling(num_losses=3), classification_loss=FocalLoss())
    losses = model.losses(small.maps_of(model), *small.boxes_and_classes())
    assert "classification/regularizer" in losses and all(loss.isfinite() for loss in losses.values())


def test_choices_that_make_no_sense_are_refused():
    class Odd(torch.nn.Module):
        def forward(self, logits, labels, num_classes):
            return logits.sum()

    with pytest.raises(UserError, match="PAA scores anchors by its classification loss, and Odd"):
        small.detector("paa", classification_loss=Odd())
    with pytest.raises(UserError, match="take normalizer=PerForeground"):
        small.detector("atss", normalizer=Odd())
    with pytest.raises(UserError, match="and GHMC does not give the loss of each example; take Sigmoid.* or FocalLoss"):
        small.detector("paa", classification_loss=GHMC())
    for name, called in (("atss", "ATSS"), ("foveabox", "FoveaBox"), ("yolov3", "YOLOv3")):
        with pytest.raises(UserError, match=f"ISR chooses examples of a two-stage model; {called} trains on every one"):
            small.detector(name, classification_loss=ISR())
    with pytest.raises(UserError, match="PAA scores anchors by its classification loss, and ISR"):
        small.detector("paa", classification_loss=ISR())
    with pytest.raises(UserError, match="FocalLoss is no box loss; FoveaBox takes box_loss=GHMR"):
        small.detector("foveabox", box_loss=FocalLoss())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("atss", "GHMR makes no sense in ATSS, which trains its boxes by IoU; leave box_loss= out"),
        ("paa", "GHMR makes no sense in PAA, which trains its boxes by IoU; leave box_loss= out"),
        ("yolov3", "GHMR makes no sense in YOLOv3, which trains its boxes by cross-entropy of their places"),
    ],
)
def test_a_loss_of_coded_boxes_is_refused_where_it_has_no_place(name, message):
    with pytest.raises(UserError, match=message):
        small.detector(name, box_loss=GHMR())


class Detector(torch.nn.Module):
    def __init__(self, name, form):
        super().__init__()
        self.body, self.head = small.Body(), small.detector(name, form)

    def forward(self, images):
        return self.head(list(self.body(images).values()))


def four_images():
    """Coloured blocks on noise: 64 x 64, two objects each, and their places."""
    generator = torch.Generator().manual_seed(1)
    images, boxes, classes = 0.2 * torch.randn(4, 3, 64, 64, generator=generator), [], []
    for i in range(4):
        corners = torch.tensor([[4.0 + 3 * i, 6, 26 + 3 * i, 24 + 2 * i], [30.0, 34 - 2 * i, 60 - 2 * i, 60]])
        kinds = torch.tensor([i % 3, (i + 1) % 3])
        for (x1, y1, x2, y2), kind in zip(corners.int().tolist(), kinds, strict=True):
            images[i, kind, y1:y2, x1:x2] += 2
        boxes.append(corners)
        classes.append(kinds)
    return images, boxes, classes


def average_precision(found, boxes, classes):
    """AP at IoU 0.5 over all classes together: the area under the raw precision-recall curve."""
    ranked = [(s, i, b, c) for i, image in enumerate(found) for b, s, c in zip(*image, strict=True)]
    taken, hits, area = set(), 0, 0.0
    for rank, (_, image, box, label) in enumerate(sorted(ranked, key=lambda entry: -entry[0]), start=1):
        overlaps = paired_iou(box.expand(len(boxes[image]), 4), boxes[image])
        good = [j for j, o in enumerate(overlaps) if o > 0.5 and classes[image][j] == label and (image, j) not in taken]
        if good:
            taken.add((image, max(good, key=lambda j: overlaps[j])))
            hits += 1
            area += hits / rank
    return area / sum(map(len, boxes))


@pytest.mark.parametrize(("name", "form"), small.FORMS)
def test_learns_four_images(name, form):
    torch.manual_seed(0)
    model = Detector(name, form)
    images, boxes, classes = four_images()
    if form == "sampling-free":
        for image in zip(boxes, classes, strict=True):
            sizes = [(8, 8), (4, 4), (2, 2)]
            model.head.statistics.update(model.head.labels_without_predictions(sizes, *image))
        model.head.set_prior(model.head.statistics.prior, model.head.statistics.score_threshold)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=100)
    for _ in range(100):
        optimizer.zero_grad()
        sum(model.head.losses(model(images), boxes, classes).values()).backward()
        optimizer.step()
        schedule.step()
    model.eval()
    found = model.head.detections(model(images), [(64, 64)] * 4)
    assert average_precision(found, boxes, classes) > 0.9


def test_yolov3_trains_at_the_scale_of_the_paper_whose_table_it_is_in():
    assert type(small.detector("yolov3").scaling) is GuidedScaling
