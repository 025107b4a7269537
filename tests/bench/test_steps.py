import pytest
from torchvision.ops import MultiScaleRoIAlign

from tools.bench import torchvision_steps


def _proposals_of_each_contestant(races, pooler, monkeypatch) -> list[int]:
    """How many boxes the Faster R-CNNs of a race pool features for, in a step."""
    counts, forward = [], pooler.forward

    def counted(self, features, boxes, *rest):
        counts.append(sum(len(of_image) for of_image in boxes))
        return forward(self, features, boxes, *rest)

    monkeypatch.setattr(pooler, "forward", counted)
    for contestant in races[1].contestants:
        contestant.call()
    return counts


def test_torchvision_step_pools_as_many_proposals_as_a_trained_network(monkeypatch):
    races = torchvision_steps.races(quick=True)
    sampling_free, biased = _proposals_of_each_contestant(races, MultiScaleRoIAlign, monkeypatch)
    assert biased == 512 < 700 < sampling_free


def test_detectron2_step_pools_as_many_proposals_as_a_trained_network(monkeypatch):
    pytest.importorskip("detectron2")
    from detectron2.modeling.poolers import ROIPooler

    from tools.bench import detectron2_steps

    races = detectron2_steps.races(quick=True)
    sampling_free, biased = _proposals_of_each_contestant(races, ROIPooler, monkeypatch)
    assert biased == 512 < 700 < sampling_free
