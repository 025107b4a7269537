"""On a GPU no detector of ours waits for the device more often than the host's own, counted on a CPU."""

import contextlib

import pytest
import torch

import tests.detectron2  # noqa: F401 - imports detectron2 where its warnings do not count
from sampling_free.mechanism import classification, fused
from sampling_free.torchvision import DenseModel, make_sampling_free
from tests.detectors import small
from tests.torchvision import test_dense, tiny
from tests.waits import Waits

HOST = {build.__name__: build for build in [*tiny.ONE_STAGE, *tiny.TWO_STAGE]}
DETECTRON2 = ["retinanet", "fcos", "faster_rcnn", "mask_rcnn", "cascade_rcnn"]


@pytest.fixture(autouse=True)
def the_loss_of_a_gpu(monkeypatch):
    def sums(logits, labels, num_classes):
        return fused.image_sums(list(logits), labels, num_classes)

    monkeypatch.setattr(classification, "sigmoid_cross_entropy_sums", sums)
    monkeypatch.setenv("SAMPLING_FREE_KERNELS", "0")  # Triton has nothing to compile for here


def waits(model, losses_of, storage=contextlib.nullcontext):
    """Of the second of two training steps."""
    model.train()
    for _ in range(2):
        with Waits() as waits, storage():
            torch.stack([loss.float() for loss in losses_of(model).values()]).sum().backward()
    return waits


def more(ours, theirs):
    """What ours waits for and the host does not, to be read when a test fails."""
    return {line: count - theirs.lines[line] for line, count in ours.lines.items() if count > theirs.lines[line]}


@pytest.mark.parametrize("name", HOST)
def test_torchvision_s_own_waits_as_often(name):
    images, targets = tiny.batch()
    ours, theirs = (
        waits(model, lambda model: model(images, targets))
        for model in (make_sampling_free(tiny.seeded(HOST[name])), tiny.seeded(HOST[name]))
    )
    # FCOS looks whether labels are in range, which torchvision does not
    assert ours.count <= theirs.count + (name == "fcos"), more(ours, theirs)


@pytest.mark.parametrize("name", small.BUILDERS)
def test_a_dense_detector_s_own_form_waits_as_often(name):
    images, targets = test_dense.batch()
    ours, theirs = (
        waits(
            DenseModel(small.Body(), small.detector(name, form), min_size=96, max_size=160),
            lambda model: model(images, targets),
        )
        for form in ("sampling-free", "baseline")
    )
    assert ours.count <= theirs.count, more(ours, theirs)


@pytest.mark.parametrize("name", DETECTRON2)
def test_detectron2_s_own_waits_as_often(name):
    pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")
    from detectron2.utils.events import EventStorage

    from sampling_free.detectron2 import make_sampling_free
    from tests.detectron2 import small

    items, build = small.batch(), getattr(small, name)
    ours, theirs = (
        waits(small.built(node), lambda model: model(items), EventStorage)
        for node in (make_sampling_free(build()), build())
    )
    # three stages look whether classes are in range and count what trains
    assert ours.count <= theirs.count + (name == "cascade_rcnn"), more(ours, theirs)


def test_the_loss_waits_for_nothing():
    maps = [torch.randn(2, 6, 4, 5, requires_grad=True)]
    labels = torch.randint(-1, 4, (2, 40))
    with Waits() as waits:
        classification.sigmoid_cross_entropy_sum(maps, labels, 3).backward()
    assert waits.count == 0, waits.lines


@pytest.mark.parametrize(
    ("ask", "count"),
    [
        (lambda x: int(x.sum()), 1),
        (lambda x: bool((x > 0).any()), 1),
        (lambda x: x.tolist(), 1),
        (lambda x: x[x > 0], 1),
        (lambda x: torch.where(x > 0), 1),
        (lambda x: x.unique(), 1),
        (lambda x: x.clone().index_put_((x > 0,), torch.ones(2)), 1),
        (lambda x: x.repeat_interleave(torch.tensor([1, 2, 3])), 1),
        (lambda x: x.repeat_interleave(torch.tensor([1, 2, 3]), output_size=6), 0),
        (lambda x: x.clone().masked_fill_(x > 0, 0.0), 0),
        (lambda x: x.clone().__setitem__(x > 0, 0.0), 0),
        (lambda x: x[torch.tensor([0, 1])], 0),
    ],
)
def test_what_counts_as_a_wait(ask, count):
    with Waits() as waits:
        ask(torch.tensor([-1.0, 1.0, 2.0]))
    assert waits.count == count, waits.lines
