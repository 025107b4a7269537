"""Sampling-free models leave the training loop as torchvision's own do: scripted, or as torchvision's plain model."""

import copy

import pytest
import torch
from torch import nn

from sampling_free import UserError
from sampling_free.torchvision import atss_resnet50_fpn, make_sampling_free, set_prior, to_host
from tests.torchvision import tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated"),
    pytest.mark.filterwarnings("ignore:.*always returns a .Losses, Detections. tuple in scripting"),
]
BUILDERS = [tiny.retinanet, tiny.fcos, tiny.faster_rcnn, tiny.mask_rcnn]


def trained(builder):
    """A converted model after a step, with weights that detect something."""
    model = make_sampling_free(builder())
    images, targets = tiny.batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    if builder in (tiny.retinanet, tiny.fcos):
        set_prior(model, 0.1, score_threshold=0.07)
    if hasattr(model, "roi_heads"):
        model.roi_heads.detections_per_img = 5
    sum(model(images, targets).values()).backward()
    optimizer.step()
    return model.eval()


def detections(model, images):
    with torch.no_grad():
        found = model(images)
    return found[1] if isinstance(found, tuple) else found  # a scripted model gives its losses too


def assert_same(found, expected):
    for mine, other in zip(found, expected, strict=True):
        assert mine.keys() == other.keys() and len(other["boxes"])
        assert all(torch.equal(mine[name], other[name]) for name in other)


@pytest.mark.parametrize("builder", [tiny.retinanet, tiny.fcos, tiny.mask_rcnn])
def test_a_model_scripts_and_stays_as_it_was(builder):
    model = trained(builder)
    images = [torch.rand(3, 90, 120), torch.rand(3, 70, 64)]
    expected = detections(model, images)
    before = {name: type(module) for name, module in model.named_modules()}
    assert_same(detections(torch.jit.script(model), images), expected)
    assert {name: type(module) for name, module in model.named_modules()} == before
    assert_same(detections(model, images), expected)


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_host_s_model_comes_back_with_weights_and_threshold(builder):
    host, model = builder(), trained(builder)
    state = copy.deepcopy(model.state_dict())
    plain = to_host(model)
    pairs = list(zip(plain.named_modules(), host.named_modules(), strict=True))
    assert [(name, type(module)) for (name, module), _ in pairs] == [(name, type(m)) for _, (name, m) in pairs]
    for (name, module), (_, other) in pairs:
        assert set(vars(module)) == set(vars(other)), name
        for hooks in ("_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"):
            assert len(vars(module)[hooks]) == len(vars(other)[hooks]), name
        if hasattr(other, "fg_bg_sampler"):
            assert type(module.fg_bg_sampler) is type(other.fg_bg_sampler)
    owner = plain.roi_heads if hasattr(plain, "roi_heads") else plain
    assert owner.score_thresh == pytest.approx(1e-3 if hasattr(plain, "roi_heads") else 0.07)
    images = [torch.rand(3, 90, 120)]
    assert_same(detections(plain, images), detections(model, images))
    host.load_state_dict(plain.state_dict())  # strictly
    plain.load_state_dict(builder().state_dict())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())  # a copy


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("builder", [tiny.fcos, tiny.faster_rcnn])
def test_an_onnx_file_detects_what_the_model_does_at_two_sizes(builder, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model, file = to_host(trained(builder)), str(tmp_path / "model.onnx")
    sizes = {"images": {1: "height", 2: "width"}}
    torch.onnx.export(
        *(model, ([torch.rand(3, 96, 128)],), file),
        **dict(dynamo=False, opset_version=18, input_names=["images"], dynamic_axes=sizes),
    )
    session = onnxruntime.InferenceSession(file)
    for size in ((96, 128), (90, 110)):
        image = torch.rand(3, *size)
        (expected,) = detections(model, [image])
        found = session.run(None, {"images": image.numpy()})
        for mine, other in zip(found, expected.values(), strict=True):
            torch.testing.assert_close(torch.from_numpy(mine), other, rtol=1e-4, atol=1e-4)
        assert len(expected["boxes"])


def test_a_step_of_the_host_s_model_is_torchvision_s_own():
    model = trained(tiny.faster_rcnn)
    plain, own = to_host(model).train(), tiny.faster_rcnn()
    own.load_state_dict(plain.state_dict())
    images, targets = tiny.batch()
    losses = []
    for each in (plain, own):
        torch.manual_seed(0)
        losses.append(each(copy.deepcopy(images), copy.deepcopy(targets)))
    assert losses[0] == losses[1]


def test_what_was_not_converted_has_no_plain_form():
    with pytest.raises(UserError, match="RetinaNet is no model that make_sampling_free converted"):
        to_host(tiny.retinanet())
    dense = atss_resnet50_fpn(num_classes=3, weights_backbone=None)
    with pytest.raises(UserError, match="DenseModel is no model that make_sampling_free converted"):
        to_host(dense)


def test_a_part_of_the_user_s_own_of_the_same_name_stays():
    model = make_sampling_free(tiny.retinanet())
    model.backbone.scaling = nn.Identity()
    assert isinstance(to_host(model).backbone.scaling, nn.Identity)
