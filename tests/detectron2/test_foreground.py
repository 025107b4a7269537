"""fit_prior against the training step itself, on images of a data set with some that hold no object."""

import copy

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import torch
import torch.multiprocessing as mp
from detectron2.config import LazyCall as L
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch.utils.data import Dataset

from sampling_free.detectron2 import fit_prior, make_sampling_free, set_prior
from sampling_free.errors import UserError
from sampling_free.heuristics import BiasedSampling
from sampling_free.mechanism import bias_of_prior
from tests.detectron2 import small

COUNTED = [small.retinanet, small.fcos, small.faster_rcnn]


class Items(Dataset):
    """`count` mapped images of two sizes with some random boxes, every fifth without any."""

    def __init__(self, count, boxes=4):
        generator = torch.Generator().manual_seed(0)
        self.items = []
        for i in range(count):
            size = [(96, 128), (110, 90)][i % 2]
            corners = torch.rand(0 if i % 5 == 4 else boxes, 2, generator=generator) * 60
            sizes = 10 + torch.rand(len(corners), 2, generator=generator) * 25
            instances = Instances(size)
            instances.gt_boxes = Boxes(torch.cat([corners, corners + sizes], dim=1))
            instances.gt_classes = torch.randint(0, small.NUM_CLASSES, (len(corners),), generator=generator)
            self.items.append({"image": torch.zeros(3, *size), "instances": instances})

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def model_of(builder, **choices):
    return small.built(make_sampling_free(builder(), **choices))


def layer(model):
    """The last layer of the head that is counted."""
    return model.head.cls_score if hasattr(model, "head") else model.proposal_generator.rpn_head.objectness_logits


def statistics_of(model):
    return getattr(model, "proposal_generator", model).statistics


@pytest.mark.parametrize("builder", COUNTED)
def test_counts_are_those_of_training(builder):
    """The same images, one at a time, through a real training step: the same foreground per image."""
    model, data = model_of(builder).train(), Items(5)
    statistics = fit_prior(model, data, num_images=5)
    trained = 0
    for item in data:
        with EventStorage() as storage:
            model([item, item])  # GroupNorm of a single place wants two
            name = "num_pos_anchors" if hasattr(model, "head") else "rpn/num_pos_anchors"
            trained += round(storage.latest()[name][0])
    assert statistics.num_foreground == trained > 0
    assert statistics.num_images == 5


@pytest.mark.parametrize("builder", COUNTED)
def test_bias_and_threshold_follow(builder):
    model = model_of(builder)
    other = {name: value.clone() for name, value in model.state_dict().items()}
    statistics = fit_prior(model, Items(10))
    prior = int(statistics.num_foreground) / (int(statistics.num_examples) * statistics.num_classes)
    assert torch.equal(layer(model).bias, torch.full_like(layer(model).bias, bias_of_prior(prior)))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, other[name])}
    if builder is small.faster_rcnn:
        assert statistics.num_classes == 1
        bias = "proposal_generator.rpn_head.objectness_logits.bias"
    else:
        bias = "head.cls_score.bias"
        ratio = int(statistics.num_foreground) / int(statistics.num_examples)
        assert float(model.test_score_thresh) == pytest.approx(ratio)
        changed.remove("fitted_threshold.value")
    assert {name for name in changed if "statistics" not in name} == {bias}


def test_no_network_runs(monkeypatch):
    for builder in COUNTED:
        model = model_of(builder)
        for part in (model.backbone, getattr(model, "head", None) or model.proposal_generator.rpn_head):
            monkeypatch.setattr(part, "forward", None)  # whoever calls it fails
        fit_prior(model, Items(3))


@pytest.mark.parametrize("builder", COUNTED)
def test_what_training_computed_is_in_the_checkpoint_and_serves_evaluation(builder):
    model = model_of(builder)
    fit_prior(model, Items(10))
    restored = model_of(builder)
    restored.load_state_dict(copy.deepcopy(model.state_dict()))
    assert statistics_of(restored).prior == statistics_of(model).prior > 0
    assert torch.equal(layer(restored).bias, layer(model).bias)
    if builder is not small.faster_rcnn:
        assert restored.test_score_thresh == model.test_score_thresh != small.built(builder()).test_score_thresh


def test_the_stored_threshold_is_the_one_that_drops_detections():
    model = model_of(small.retinanet).eval()
    with torch.no_grad():
        model.test_score_thresh = float(0)
        scores = model(small.batch())[0]["instances"].scores
        middle = scores.median()
        model.test_score_thresh = float(middle)
        assert torch.equal(model(small.batch())[0]["instances"].scores, scores[scores > middle]) and scores[-1] < middle


def test_the_prior_may_be_a_number():
    model = model_of(small.retinanet)
    set_prior(model, 1e-3)
    assert layer(model).bias.detach().numpy() == pytest.approx(bias_of_prior(1e-3))
    assert float(model.test_score_thresh) == pytest.approx(1e-3 * small.NUM_CLASSES)  # N_f / N


def test_a_choice_of_examples_does_not_change_what_is_counted():
    every = fit_prior(model_of(small.faster_rcnn), Items(4))
    model = model_of(small.faster_rcnn, sampling=L(BiasedSampling)(batch_size=8))
    chosen = fit_prior(model, Items(4))
    assert all(torch.equal(value, every.state_dict()[name]) for name, value in chosen.state_dict().items())
    assert isinstance(model.proposal_generator.sampling, BiasedSampling)


def test_images_without_objects_count_and_the_log_says_how_many(caplog):
    caplog.set_level("INFO")
    statistics = fit_prior(model_of(small.retinanet), Items(10))
    assert statistics.num_images == 10
    assert "in 10 images;" in caplog.text and "Images without objects: 2." in caplog.text


def test_counting_stops_when_the_prior_is_known_and_at_the_number_asked_for():
    alike = Items(1).items * 500
    assert fit_prior(model_of(small.retinanet), alike).num_images == 50
    assert fit_prior(model_of(small.retinanet), alike, num_images=7).num_images == 7
    batches = iter([alike[:4]] * 100)
    assert fit_prior(model_of(small.retinanet), batches, num_images=7).num_images == 7


def test_statistics_are_those_of_one_order_that_the_seed_fixes():
    state = torch.get_rng_state()
    first, second, other = (
        fit_prior(model_of(small.retinanet), Items(20), num_images=6, seed=seed).num_foreground for seed in (0, 0, 1)
    )
    assert first == second != other
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Items(3, boxes=0), "foreground"),
        ([], "foreground"),
    ],
    ids=["no boxes", "no images"],
)
def test_data_without_foreground_is_refused(data, words):
    with pytest.raises(UserError, match=words):
        fit_prior(model_of(small.retinanet), data)


def test_a_class_out_of_range_is_refused():
    data = Items(2)
    data.items[0]["instances"].gt_classes[0] = small.NUM_CLASSES
    with pytest.raises(UserError, match=f"class {small.NUM_CLASSES} of image 0"):
        fit_prior(model_of(small.retinanet), data)


@pytest.mark.parametrize("prior", [0, 1, -0.5, float("nan")])
def test_a_prior_that_is_no_probability_is_refused(prior):
    with pytest.raises(UserError, match="prior"):
        set_prior(model_of(small.retinanet), prior)


@pytest.mark.parametrize("builder", [small.retinanet, small.faster_rcnn])
def test_detectron2_s_own_model_has_no_prior_to_set(builder):
    with pytest.raises(UserError, match="make_sampling_free"):
        fit_prior(small.built(builder()), Items(2))


def _fit_in_two_processes(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model = model_of(small.retinanet)
    fit_prior(model, Items(10) if rank == 0 else Items(0))  # the first counts, for all
    words = ""
    try:
        fit_prior(model_of(small.retinanet), Items(2, boxes=0))
    except UserError as error:
        words = str(error)
    torch.save((model.state_dict(), words), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_all_processes_have_the_same_prior_or_the_same_error(tmp_path):
    mp.spawn(_fit_in_two_processes, args=(str(tmp_path),), nprocs=2)
    (first, words), (second, other_words) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    alone = model_of(small.retinanet)
    fit_prior(alone, Items(10))
    assert torch.equal(first["head.cls_score.bias"], alone.head.cls_score.bias)
    assert first["fitted_threshold.value"] == alone.fitted_threshold.value
    assert "foreground" in words and words == other_words


@pytest.mark.parametrize("build", [small.retinanet, small.fcos, small.faster_rcnn])
def test_a_model_whose_prior_nobody_set_says_so_once_when_it_trains(build, caplog):
    forgotten, numbered = (small.built(make_sampling_free(build())).train() for _ in range(2))
    set_prior(numbered, 0.01)
    with EventStorage():
        numbered(small.batch())
        assert "Nobody has set the prior" not in caplog.text
        forgotten(small.batch())
        forgotten(small.batch())
    assert caplog.text.count("Nobody has set the prior") == 1 and "fit_prior(model, data)" in caplog.text
