"""Sampling-free training steps: what trains, what is logged, with an event storage and without."""

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import torch
from detectron2.config import LazyCall as L
from detectron2.model_zoo import get_config
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from sampling_free.detectron2 import PerStage, make_sampling_free
from sampling_free.errors import UserError
from sampling_free.mechanism import GuidedScaling
from tests.detectron2 import small

EVERY = [*small.ONE_STAGE, *small.TWO_STAGE, small.keypoint_rcnn]
NAMES = {
    small.retinanet: {"raw/loss_cls", "raw/loss_box_reg", "ratio", "delta", "num_pos_anchors"},
    small.fcos: {"raw/loss_fcos_cls", "raw/loss_fcos_loc", "raw/loss_fcos_ctr", "ratio", "delta", "num_pos_anchors"},
}
TWO_STAGE_NAMES = {"raw/loss_rpn_cls", "raw/loss_rpn_loc", "rpn/ratio", "roi_head/ratio", "rpn/num_pos_anchors"}


def model_of(builder):
    return small.built(make_sampling_free(builder()))


@pytest.mark.parametrize("builder", EVERY)
def test_an_event_storage_is_written_to_and_not_missed(builder):
    with EventStorage() as storage:
        logged, gradients = small.losses_and_gradients(model_of(builder), small.batch())
    silent, others = small.losses_and_gradients(model_of(builder), small.batch())
    assert list(silent) == list(logged)
    assert all(torch.equal(silent[name], loss) for name, loss in logged.items())
    assert all(gradient is None or torch.equal(others[name], gradient) for name, gradient in gradients.items())
    values = {name: value for name, (value, _) in storage.latest().items()}
    assert NAMES.get(builder, TWO_STAGE_NAMES) <= set(values)
    assert all(torch.isfinite(torch.tensor(value)) for value in values.values())


@pytest.mark.parametrize("builder", [small.faster_rcnn, small.mask_rcnn, small.keypoint_rcnn])
def test_classification_is_guided_by_localisation_alone(builder):
    """v1 Eq. 7: numerically the scaled loss is that of the boxes, twice it in the RoI head."""
    losses, _ = small.losses_and_gradients(model_of(builder), small.batch())
    assert torch.isclose(losses["loss_rpn_cls"], losses["loss_rpn_loc"])
    assert torch.isclose(losses["loss_cls"], 2 * losses["loss_box_reg"])


def test_the_stages_of_a_cascade_count_as_one_or_each_for_itself():
    def stages(**choices):
        model = small.built(make_sampling_free(small.cascade_rcnn(), **choices))
        losses, _ = small.losses_and_gradients(model, small.batch())
        return [
            torch.stack([losses[f"{kind}_stage{stage}"] for stage in range(3)]) for kind in ("loss_cls", "loss_box_reg")
        ]

    cls, box_reg = stages()
    torch.testing.assert_close(cls.sum(), 2 * box_reg.sum())
    assert not torch.isclose(cls, 2 * box_reg).any()
    each = L(PerStage)(scaling=L(GuidedScaling)(factor=2.0))
    cls, box_reg = stages(scaling={"rpn": L(GuidedScaling)(), "roi": each})
    torch.testing.assert_close(cls, 2 * box_reg)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("builder", EVERY)
def test_mixed_precision_trains_on_nearly_the_same_losses(builder, dtype):
    expected, _ = small.losses_and_gradients(model_of(builder), small.batch())
    with torch.autocast("cpu", dtype):
        losses, gradients = small.losses_and_gradients(model_of(builder), small.batch())
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    assert all(gradient.isfinite().all() for gradient in gradients.values() if gradient is not None)
    if builder in small.ONE_STAGE:  # what other proposals train is other losses
        assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(
            {name: loss.item() for name, loss in expected.items()}, rel=0.03
        )


def test_boxes_of_any_size_have_a_loss_in_float16():
    """A box of 400 px has an area of 160,000; float16 ends at 65,504."""
    losses = []
    for half in (False, True):
        large = torch.nn.functional.interpolate(small.batch()[0]["image"][None], size=(480, 640))[0]
        item = small.batch()[0] | {"image": large, "height": 480, "width": 640}
        boxes = Boxes(torch.tensor([[40.0, 30, 440, 430]]))
        item["instances"] = Instances((480, 640), gt_boxes=boxes, gt_classes=torch.tensor([1]))
        with torch.autocast("cpu", torch.float16, enabled=half):
            losses.append(small.losses_and_gradients(model_of(small.fcos), [item])[0]["loss_fcos_loc"])
    assert losses[1].isfinite() and losses[1].item() == pytest.approx(losses[0].item(), rel=0.03)


def test_panoptic_fpn_is_an_rcnn_too():
    node = make_sampling_free(get_config("common/models/panoptic_fpn.py").model)
    assert "SamplingFreeRPN" in str(node.proposal_generator._target_)
    assert "SamplingFreeROIHeads" in str(node.roi_heads._target_)


@pytest.mark.parametrize(("builder", "name"), [(small.mask_rcnn, "loss_mask"), (small.keypoint_rcnn, "loss_keypoint")])
def test_masks_and_keypoints_see_every_foreground_proposal_and_keep_their_weight(builder, name, monkeypatch):
    model = model_of(builder)
    head = "mask_head" if name == "loss_mask" else "keypoint_head"
    seen = []
    own = type(getattr(model.roi_heads, head)).forward

    def watched(self, features, instances):
        seen.append(sum(len(image) for image in instances))
        return own(self, features, instances)

    monkeypatch.setattr(type(getattr(model.roi_heads, head)), "forward", watched)
    with EventStorage() as storage:
        losses, gradients = small.losses_and_gradients(model, small.batch())
    foreground = 2 * storage.latest()["roi_head/num_fg_samples"][0]
    assert seen == [foreground] and foreground > 0
    assert losses[name] > 0 and f"raw/{name}" not in storage.latest()  # it goes through no scale
    assert all(gradient is not None for part, gradient in gradients.items() if head in part)


# detectron2's own logging of keypoints warns of such a batch
@pytest.mark.parametrize("builder", [*small.ONE_STAGE, *small.TWO_STAGE])
def test_batches_without_boxes_teach_background(builder):
    model = model_of(builder)
    small.losses_and_gradients(model, small.batch())  # the running ratio and count
    losses, gradients = small.losses_and_gradients(model, small.batch(empty=(0, 1)))
    assert all(torch.isfinite(loss) for loss in losses.values())
    (layer,) = (
        gradients[name]
        for name in gradients
        if name.endswith(("head.cls_score.weight", "rpn_head.objectness_logits.weight"))
    )
    assert layer.abs().sum() > 0


@pytest.mark.parametrize("builder", EVERY)
def test_a_class_out_of_range_is_refused(builder):
    items = small.batch()
    items[1]["instances"].gt_classes[0] = small.NUM_CLASSES
    with pytest.raises(UserError, match=f"class {small.NUM_CLASSES} of image 1"), EventStorage():
        model_of(builder).train()(items)
