"""A pytest plugin that points detectron2's own unit tests at our classes, with every choice set to detectron2's.

    python -m pytest -p tests.detectron2.host_tests --import-mode=importlib -W ignore \
        CHECKOUT/tests/modeling/test_rpn.py CHECKOUT/tests/modeling/test_roi_heads.py \
        CHECKOUT/tests/modeling/test_model_e2e.py

CHECKOUT is a clone of detectron2 at the commit that the Makefile names; its tests are not installed with it. Whatever a
test imports, builds from a config or finds in a registry under the name of one of detectron2's classes is then ours.
"""

from typing import Any

import detectron2.modeling.meta_arch.fcos as fcos
from detectron2 import modeling
from detectron2.modeling import meta_arch, proposal_generator, roi_heads

from sampling_free.detectron2 import (
    SamplingFreeCascadeROIHeads,
    SamplingFreeFCOS,
    SamplingFreeRetinaNet,
    SamplingFreeROIHeads,
    SamplingFreeRPN,
)
from sampling_free.heuristics import BiasedSampling, FocalLoss
from sampling_free.mechanism import ConstantScaling, MovingForegroundNormalizer, PerExample, PerForeground


def as_detectron2(sampling: BiasedSampling) -> dict[str, Any]:
    """The choices of a two-stage model's head."""
    return {"sampling": sampling, "normalizer": PerExample(), "scaling": ConstantScaling()}


class RPN(SamplingFreeRPN):
    """detectron2's."""

    @classmethod
    def from_config(cls, cfg: Any, input_shape: Any) -> dict[str, Any]:
        sampling = BiasedSampling(cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE, cfg.MODEL.RPN.POSITIVE_FRACTION)
        return super().from_config(cfg, input_shape) | as_detectron2(sampling)


class _ROIHeads:
    @classmethod
    def from_config(cls, cfg: Any, input_shape: Any) -> dict[str, Any]:
        node = cfg.MODEL.ROI_HEADS
        sampling = BiasedSampling(node.BATCH_SIZE_PER_IMAGE, node.POSITIVE_FRACTION)
        return super().from_config(cfg, input_shape) | as_detectron2(sampling)  # type: ignore[misc]


class StandardROIHeads(_ROIHeads, SamplingFreeROIHeads):
    """detectron2's."""


class CascadeROIHeads(_ROIHeads, SamplingFreeCascadeROIHeads):
    """detectron2's."""


def focal_loss(initial: float) -> dict[str, Any]:
    """The choices of a one-stage model."""
    normalizer = PerForeground(count=MovingForegroundNormalizer(initial))
    return {"classification_loss": FocalLoss(), "normalizer": normalizer, "scaling": ConstantScaling()}


class RetinaNet(SamplingFreeRetinaNet):
    """detectron2's."""

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        return super().from_config(cfg) | focal_loss(100)


class FCOS(SamplingFreeFCOS):
    """detectron2's, which is built from explicit arguments."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments, **focal_loss(300))


for _registry, _form in (
    (proposal_generator.PROPOSAL_GENERATOR_REGISTRY, RPN),
    (roi_heads.ROI_HEADS_REGISTRY, StandardROIHeads),
    (roi_heads.ROI_HEADS_REGISTRY, CascadeROIHeads),
    (meta_arch.META_ARCH_REGISTRY, RetinaNet),
):
    _registry._obj_map[_form.__name__] = _form
for _module in (modeling, proposal_generator, roi_heads, meta_arch, fcos):
    for _form in (RPN, StandardROIHeads, CascadeROIHeads, RetinaNet, FCOS):
        if hasattr(_module, _form.__name__):
            setattr(_module, _form.__name__, _form)
