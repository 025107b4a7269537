"""detectron2's export works on the sampling-free forms as it does on detectron2's own models."""

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import torch
from detectron2.config import instantiate
from detectron2.export import TracingAdapter, dump_torchscript_IR, scripting_with_instances
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes
from detectron2.utils.testing import convert_scripted_instances
from torch import Tensor

from sampling_free import UserError, config
from sampling_free.detectron2 import make_sampling_free, set_prior, to_host
from tests.detectron2 import small

pytestmark = [
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),  # detectron2's code, traced
    pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated"),
]
EVERY = [*small.ONE_STAGE, *small.TWO_STAGE, small.keypoint_rcnn]


def model_of(builder):
    torch.manual_seed(0)
    # our instantiate hands over plain lists: TorchScript does not know omegaconf's
    model = config.instantiate(make_sampling_free(builder()), "model").eval()
    if builder in small.ONE_STAGE:
        set_prior(model, 0.05, score_threshold=0.05)
    return model


def image(height, width):
    return 255 * torch.rand(3, height, width, generator=torch.Generator().manual_seed(height))


@pytest.mark.parametrize("builder", EVERY)
def test_a_traced_model_detects_what_the_model_does(builder):
    model = model_of(builder)

    def inference(model, inputs):
        (found,) = model(inputs)
        return {name: found["instances"].get(name) for name in ("pred_boxes", "scores", "pred_classes")}

    first, second = ([{"image": image(*size)}] for size in ((160, 192), (136, 130)))
    adapter = TracingAdapter(model, first, inference)
    with torch.no_grad():
        traced = torch.jit.trace(adapter, adapter.flattened_inputs, check_trace=False)
        for items in (first, second):
            expected = inference(model, items)
            found = adapter.outputs_schema(traced(*TracingAdapter(model, items, inference).flattened_inputs))
            assert len(expected["scores"]) and torch.equal(found["scores"], expected["scores"])
            assert torch.equal(found["pred_boxes"].tensor, expected["pred_boxes"].tensor)


@pytest.mark.parametrize("builder", [small.retinanet, small.faster_rcnn, small.mask_rcnn])
def test_a_scripted_model_detects_what_the_model_does(builder, tmp_path):
    model = model_of(builder)
    fields = {"pred_boxes": Boxes, "scores": Tensor, "pred_classes": Tensor}
    if builder is not small.retinanet:
        fields |= {"proposal_boxes": Boxes, "objectness_logits": Tensor, "pred_masks": Tensor}
    scripted = scripting_with_instances(model, fields)
    items = [{"image": image(96, 128)}, {"image": image(64, 96)}]
    with torch.no_grad():
        if builder is small.retinanet:
            expected = [item["instances"] for item in model(items)]
            found = [convert_scripted_instances(found) for found in scripted(items)]
            found = [detector_postprocess(f, *item["image"].shape[1:]) for f, item in zip(found, items, strict=True)]
        else:
            expected = model.inference(items, do_postprocess=False)
            found = scripted.inference(items, do_postprocess=False)
    for mine, other in zip(found, expected, strict=True):
        assert len(other) and torch.allclose(mine.scores, other.scores)
        assert torch.allclose(mine.pred_boxes.tensor, other.pred_boxes.tensor)
    dump_torchscript_IR(scripted, str(tmp_path))  # as detectron2's export tool does
    assert "SamplingFree" in (tmp_path / "model.txt").read_text()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_an_onnx_file_detects_what_the_model_does_at_two_sizes(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model, file = to_host(model_of(small.retinanet)), str(tmp_path / "model.onnx")
    adapter = TracingAdapter(model, [{"image": image(96, 128)}], lambda model, inputs: model(inputs)).eval()
    settings = dict(input_names=["image"], dynamic_axes={"image": {1: "height", 2: "width"}}, opset_version=18)
    torch.onnx.export(adapter, adapter.flattened_inputs, file, dynamo=False, **settings)
    session = onnxruntime.InferenceSession(file)
    for size in ((96, 128), (96, 160)):
        boxes, classes, scores, _ = session.run(None, {"image": image(*size).numpy()})
        with torch.no_grad():
            expected = model([{"image": image(*size)}])[0]["instances"]
        torch.testing.assert_close(torch.from_numpy(scores), expected.scores, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(torch.from_numpy(boxes), expected.pred_boxes.tensor, rtol=1e-4, atol=1e-3)
        assert len(classes) and torch.equal(torch.from_numpy(classes), expected.pred_classes)


@pytest.mark.parametrize("builder", [small.retinanet, small.fcos, small.mask_rcnn, small.cascade_rcnn])
def test_the_host_s_model_comes_back_with_weights_and_threshold(builder):
    model, host = model_of(builder), instantiate(builder())
    plain = to_host(model)
    host.eval()
    pairs = list(zip(plain.named_modules(), host.named_modules(), strict=True))
    assert [(name, type(module)) for (name, module), _ in pairs] == [(name, type(m)) for _, (name, m) in pairs]
    for (name, module), (_, other) in pairs:
        assert set(vars(module)) == set(vars(other)), name
        assert len(module._load_state_dict_pre_hooks) == len(other._load_state_dict_pre_hooks), name
    if builder in small.ONE_STAGE:
        assert plain.test_score_thresh == pytest.approx(0.05)
    items = [{"image": image(160, 192)}]
    with torch.no_grad():
        ((found,), (expected,)) = plain(items), model(items)
    assert len(expected["instances"]) and torch.equal(found["instances"].scores, expected["instances"].scores)
    host.load_state_dict(plain.state_dict())  # strictly
    with pytest.raises(UserError, match="is no model that make_sampling_free converted"):
        to_host(host)
