"""detectron2's export works on the sampling-free forms as it does on detectron2's own models."""

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import torch
from detectron2.export import TracingAdapter, scripting_with_instances
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes
from detectron2.utils.testing import convert_scripted_instances
from torch import Tensor

from sampling_free import config
from sampling_free.detectron2 import make_sampling_free, set_prior
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
def test_a_scripted_model_detects_what_the_model_does(builder):
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
