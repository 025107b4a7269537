"""Checkpoints go both ways between detectron2's models and their sampling-free forms, and hold what the latter add."""

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import torch
import torch.multiprocessing as mp
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import LazyCall as L

from sampling_free.detectron2 import make_sampling_free
from sampling_free.detectron2.train.checkpointer import RunCheckpointer
from sampling_free.detectron2.train.training import DetectorTrainer
from sampling_free.errors import UserError
from sampling_free.mechanism import GuidedScaling, LearnedScaling, MovingForegroundNormalizer, PerForeground
from tests.detectron2 import small

EVERY = [*small.ONE_STAGE, *small.TWO_STAGE, small.keypoint_rcnn]


def moving_normalizer(initial=100):
    return L(PerForeground)(count=L(MovingForegroundNormalizer)(initial=initial))


@pytest.mark.parametrize("builder", EVERY)
def test_a_checkpoint_of_detectron2_s_loads_whole_and_silently(builder, tmp_path, caplog):
    host = small.built(builder())
    DetectionCheckpointer(host, str(tmp_path)).save("host")
    ours = small.built(make_sampling_free(builder()), seed=1)
    added = {name: value.clone() for name, value in ours.state_dict().items() if name not in host.state_dict()}
    assert added
    DetectionCheckpointer(ours, str(tmp_path)).load(str(tmp_path / "host.pth"))
    assert "not found" not in caplog.text and "not used" not in caplog.text
    state = ours.state_dict()
    assert all(torch.equal(state[name], value) for name, value in host.state_dict().items())
    assert all(torch.equal(state[name], value) for name, value in added.items())
    ours.load_state_dict(host.state_dict(), strict=True)


@pytest.mark.parametrize("builder", EVERY)
def test_a_checkpoint_of_ours_loads_into_detectron2_s_model(builder, tmp_path):
    ours = small.built(make_sampling_free(builder()), seed=1)
    DetectionCheckpointer(ours, str(tmp_path)).save("ours")
    host = small.built(builder())
    names = set(host.state_dict())
    left = host.load_state_dict(ours.state_dict(), strict=False)
    assert not left.missing_keys and set(left.unexpected_keys) == set(ours.state_dict()) - names
    DetectionCheckpointer(host, str(tmp_path)).load(str(tmp_path / "ours.pth"))
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in host.state_dict().items())


@pytest.mark.parametrize("builder", EVERY)
def test_the_parameters_that_are_added_are_the_learned_scales(builder):
    host, ours = small.built(builder()), small.built(make_sampling_free(builder()))
    added = {name for name, _ in ours.named_parameters()} - {name for name, _ in host.named_parameters()}
    assert added == ({"scaling.d"} if builder in small.ONE_STAGE else set())


@pytest.mark.parametrize("builder", EVERY)
def test_an_own_checkpoint_that_lacks_a_part_is_noticed(builder):
    ours = small.built(make_sampling_free(builder()))
    state = ours.state_dict()
    name = next(name for name in state if "scaling" in name)
    del state[name]
    with pytest.raises(RuntimeError, match=f'Missing key.*"{name}"'):
        ours.load_state_dict(state)


def test_checkpoints_are_data(tmp_path):
    model = small.built(make_sampling_free(small.retinanet()))
    DetectionCheckpointer(model, str(tmp_path)).save("ours")
    content = torch.load(tmp_path / "ours.pth", weights_only=True)
    assert content["model"].keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "holds a list"),
        ({"model": [1, 2]}, "holds no weights by name"),
        ({"model": {}}, "are of another model than the config's"),
        ({"model": None}, "holds weights but no training state, so a run cannot resume from it"),
        ({"model": None, "trainer": "another"}, "the optimiser's state is of another model"),
    ],
)
def test_a_checkpoint_that_no_run_can_go_on_from_is_told(tmp_path, content, words):
    model = small.built(make_sampling_free(small.retinanet()))
    trainer = DetectorTrainer(model, [], torch.optim.SGD(model.parameters(), lr=0.1))
    trainer.iter, trainer.max_iter = 3, 9
    if isinstance(content, dict) and "model" in content and content["model"] is None:
        content = content | {"model": model.state_dict()}
    if isinstance(content, dict) and "trainer" in content:
        other = DetectorTrainer(model, [], torch.optim.SGD(list(model.parameters())[:2], lr=0.1))
        other.iter, other.max_iter = 3, 9
        content = content | {"trainer": other.state_dict()}
    torch.save(content, tmp_path / "last.pth")
    with pytest.raises(UserError, match=words) as error:
        RunCheckpointer(model, tmp_path, trainer=trainer).resume()
    assert str(tmp_path / "last.pth") in str(error.value)


def test_the_moving_normaliser_goes_on_from_a_checkpoint():
    nodes = [make_sampling_free(small.retinanet(), normalizer=moving_normalizer()) for _ in range(2)]
    trained, resumed = (small.built(node) for node in nodes)
    for _ in range(3):
        small.losses_and_gradients(trained, small.batch())
    resumed.load_state_dict(trained.state_dict())
    assert resumed.normalizer.count.running == trained.normalizer.count.running != 100
    expected, found = (small.losses_and_gradients(model, small.batch())[0] for model in (trained, resumed))
    assert all(torch.equal(found[name], loss) for name, loss in expected.items())


CASES = [(small.retinanet, LearnedScaling), (small.fcos, LearnedScaling), (small.faster_rcnn, GuidedScaling)]


def _node(builder, scaling):
    normalizer = moving_normalizer() if builder in small.ONE_STAGE else None
    return make_sampling_free(builder(), scaling=L(scaling)(), normalizer=normalizer)


def _train(rank, folder):
    """Two steps of each model; the second process has no boxes in the first."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    states = []
    for case in CASES:
        model = small.built(_node(*case))
        for empty in ((0, 1) if rank else (), ()):
            small.losses_and_gradients(model, small.batch(empty))
        states.append({name: value for name, value in model.state_dict().items() if _is_state(name)})
    torch.save(states, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def _is_state(name):
    return any(part in name for part in ("normalizer.", "scaling.ratio", "scaling.num_ratios"))


def test_normalisers_and_ratios_are_equal_on_all_processes(tmp_path):
    mp.spawn(_train, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    for mine, other in zip(first, second, strict=True):
        assert mine and all(torch.equal(value, other[name]) for name, value in mine.items())
    alone = small.built(_node(*CASES[0]))
    small.losses_and_gradients(alone, small.batch())
    num_foreground = (alone.normalizer.count.running - 0.9 * 100) / 0.1
    expected = 0.9 * (0.9 * 100 + 0.1 * num_foreground / 2) + 0.1 * num_foreground
    assert float(first[0]["normalizer.count.running"]) == pytest.approx(float(expected))
