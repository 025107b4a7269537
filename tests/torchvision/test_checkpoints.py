"""Starting from weights: what fits is loaded, the rest is said."""

import logging

import pytest
import torch
from torchvision.models.detection import RetinaNet_ResNet50_FPN_Weights

from sampling_free.errors import UserError
from sampling_free.torchvision import make_sampling_free, set_prior
from sampling_free.torchvision.train.checkpoints import load_weights, start_from
from tests.torchvision import tiny


@pytest.fixture
def file(tmp_path):
    """Weights of a sampling-free RetinaNet of 91 classes."""
    model = make_sampling_free(tiny.retinanet(num_classes=91))
    set_prior(model, 1e-4)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    return str(tmp_path / "weights.pth")


def test_a_model_of_other_classes_starts_from_the_rest(file, caplog):
    model = make_sampling_free(tiny.retinanet(num_classes=4))
    before, theirs = ({**state} for state in (model.state_dict(), torch.load(file)))
    before = {name: value.clone() for name, value in before.items()}
    with caplog.at_level(logging.INFO):
        start_from(model, file)
    assert "so from random weights: head.classification_head.cls_logits" in caplog.text
    after = model.state_dict()
    for name, value in after.items():
        counted = "statistics" in name or "threshold" in name or "score_thresh" in name
        same = before if "cls_logits" in name or counted else theirs
        assert torch.equal(value, same[name]), name
    with pytest.raises(UserError, match="cls_logits.weight is .* of another model|of another model"):
        load_weights(model, file)


def test_weights_of_the_same_model_start_it_whole(file):
    model = make_sampling_free(tiny.retinanet(num_classes=91))
    start_from(model, file)
    theirs = torch.load(file)
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())


def test_weights_that_fit_nowhere_are_refused(tmp_path):
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other.pth are of another model"):
        start_from(tiny.retinanet(), str(tmp_path / "other.pth"))


def test_torchvision_s_weights_come_by_name(monkeypatch, tmp_path):
    model = tiny.retinanet()
    with pytest.raises(UserError, match="torchvision has no weights named Retina_Weights.COCO"):
        start_from(model, "Retina_Weights.COCO")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # no network
    weights = RetinaNet_ResNet50_FPN_Weights.COCO_V1
    with pytest.raises(UserError, match=f"{weights} cannot be fetched .* download {weights.url}"):
        start_from(model, str(weights))
