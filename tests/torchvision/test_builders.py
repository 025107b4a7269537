"""torchvision's builders and an own backbone: with its own heuristics, torchvision's losses to the last bit."""

import copy

import pytest
import torch
from torchvision.models import detection, mobilenet_v2
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from sampling_free.torchvision import fit_prior, make_sampling_free
from tests.torchvision import tiny
from tests.torchvision.test_parity import as_torchvision

OPTIONS = {"weights": None, "weights_backbone": None, "num_classes": tiny.NUM_CLASSES, "min_size": 64, "max_size": 96}
FEW = {"rpn_post_nms_top_n_train": 20}  # proposals


def own_backbone():
    """The example of torchvision's documentation: one feature map, three sizes of anchors."""
    backbone = mobilenet_v2(weights=None).features
    backbone.out_channels = 1280
    return detection.FasterRCNN(
        backbone,
        num_classes=tiny.NUM_CLASSES,
        rpn_anchor_generator=AnchorGenerator(((16, 32, 64),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=2),
        min_size=64,
        max_size=96,
        **FEW,
    )


BUILDERS = {
    "retinanet_resnet50_fpn": {},
    "retinanet_resnet50_fpn_v2": {},
    "fcos_resnet50_fpn": {},
    "fasterrcnn_resnet50_fpn": FEW,
    "fasterrcnn_mobilenet_v3_large_fpn": FEW,
    "maskrcnn_resnet50_fpn_v2": FEW,
    "own backbone": None,
}


def built(name):
    options = BUILDERS[name]
    return own_backbone() if options is None else getattr(detection, name)(**OPTIONS, **options)


def losses(model, targets):
    torch.manual_seed(5)
    images, targets = targets
    with torch.no_grad():
        return model.train()(images, targets)


@pytest.mark.parametrize("name", BUILDERS)
def test_as_torchvision_and_sampling_free(name):
    host = built(name)
    expected, weights = losses(copy.deepcopy(host), tiny.batch()), set(host.state_dict())
    found = losses(as_torchvision(copy.deepcopy(host)), tiny.batch())
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], value) and value.isfinite() for key, value in expected.items())
    free = make_sampling_free(host)
    assert weights <= set(free.state_dict())
    images, targets = tiny.batch()
    fit_prior(free, list(zip(images, targets, strict=True)), num_images=2)
    free_losses = losses(free, (images, targets))
    assert [key for key in free_losses if not key.endswith("/regularizer")] == list(expected)
    assert all(value.isfinite() for value in free_losses.values())
