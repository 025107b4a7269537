"""Every detector of the detectron2 host trains, counts, detects and comes back on a GPU."""

import pytest
import torch

import tests.detectron2  # noqa: F401 - imports detectron2 where its warnings do not count

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

from detectron2.utils.events import EventStorage

from sampling_free.detectron2 import counted_head, fit_prior, make_sampling_free
from tests.detectron2 import runs, small
from tests.gpu.training import PRECISIONS, ten_steps

MODELS = [*small.ONE_STAGE, *small.TWO_STAGE]


@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_it_counts_trains_and_detects(build, precision):
    model = small.built(make_sampling_free(build())).cuda()
    items = small.batch()
    if counted_head(model) is not None:
        fit_prior(model, items)
    with EventStorage():
        ten_steps(model, lambda model: model(items), precision)
    with torch.no_grad():
        found = model.eval()(items)
    assert all(detection["instances"].scores.is_cuda for detection in found)


def test_a_run_trains_evaluates_and_resumes_on_the_gpu(tmp_path):
    assert runs.train_net().main(runs.arguments(tmp_path)) == 0
    assert runs.train_net().main(runs.arguments(tmp_path, "train.max_iter=4", options=["--resume"])) == 0
    assert "CPU" not in (tmp_path / "run" / "result.json").read_text()
