"""Every detector of the torchvision host trains, counts, detects and comes back on a GPU."""

import copy

import pytest
import torch

from sampling_free.torchvision import DenseModel, fit_prior, make_sampling_free
from tests.detectors import small
from tests.gpu.training import PRECISIONS, ten_steps
from tests.torchvision import runs, test_dense, tiny

HOST = {build.__name__: build for build in [*tiny.ONE_STAGE, *tiny.TWO_STAGE]}
NAMES = [*HOST, *small.BUILDERS]


def built(name):
    if name in HOST:
        return make_sampling_free(tiny.seeded(HOST[name])), tiny.batch()
    return DenseModel(small.Body(), small.detector(name), min_size=96, max_size=160), test_dense.batch()


def on_gpu(images, targets):
    targets = [
        {key: value.cuda() if isinstance(value, torch.Tensor) else value for key, value in t.items()} for t in targets
    ]
    return [image.cuda() for image in images], targets


@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_it_counts_trains_and_detects(name, precision):
    model, (images, targets) = built(name)
    model = model.cuda()
    fit_prior(model, list(zip(images, targets, strict=True)))
    images, targets = on_gpu(images, targets)
    ten_steps(model, lambda model: model(images, targets), precision)
    with torch.no_grad():
        found = model.eval()(images)
    assert all(value.is_cuda for detection in found for value in detection.values())


@pytest.mark.parametrize("name", NAMES)
def test_dense_losses_are_the_cpu_s(name):
    model, (images, targets) = built(name)
    fit_prior(model, list(zip(images, targets, strict=True)))
    twin = copy.deepcopy(model).cuda()
    here, there = model.train()(images, targets), twin.train()(*on_gpu(images, targets))
    # which proposals survive, and so what the heads on them see, may turn on the last bit
    for key in here.keys() - {"loss_classifier", "loss_box_reg", "loss_mask", "loss_keypoint"}:
        assert there[key].item() == pytest.approx(here[key].item(), rel=2e-2, abs=1e-3), key


def test_a_state_dict_travels_between_devices():
    model, (images, targets) = built("retinanet")
    fit_prior(model.cuda(), list(zip(images, targets, strict=True)))
    other, _ = built("retinanet")
    other.load_state_dict(model.state_dict())
    assert other.head.statistics.num_foreground == model.head.statistics.num_foreground.cpu()
    assert float(other.score_thresh) == pytest.approx(float(model.score_thresh))


def test_a_run_trains_evaluates_and_resumes_on_the_gpu(tmp_path):
    assert runs.train_net().main(runs.arguments(tmp_path)) == 0
    assert runs.train_net().main(runs.arguments(tmp_path, "train.max_iter=4", options=["--resume"])) == 0
    assert '"device": "' in (tmp_path / "run" / "result.json").read_text()
    assert "CPU" not in (tmp_path / "run" / "result.json").read_text()
