"""From a LazyConfig node of detectron2's detectors to its sampling-free form: targets change, choices are added."""

import copy
from collections.abc import Collection, Mapping
from typing import Any

from detectron2.config import LazyCall as L
from detectron2.modeling import GeneralizedRCNN, RetinaNet
from detectron2.modeling.meta_arch.fcos import FCOS
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import CascadeROIHeads, StandardROIHeads
from detectron2.utils.registry import locate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import UnsupportedValueType
from torch import nn

from sampling_free import recipe
from sampling_free.deployment import plain_copy
from sampling_free.detectron2.cascade import SamplingFreeCascadeROIHeads
from sampling_free.detectron2.fcos import SamplingFreeFCOS
from sampling_free.detectron2.retinanet import SamplingFreeRetinaNet
from sampling_free.detectron2.roi_heads import SamplingFreeROIHeads
from sampling_free.detectron2.rpn import SamplingFreeRPN
from sampling_free.errors import UserError
from sampling_free.recipe import Recipe

_FORMS: dict[type, type] = {
    RetinaNet: SamplingFreeRetinaNet,
    FCOS: SamplingFreeFCOS,
    RPN: SamplingFreeRPN,
    StandardROIHeads: SamplingFreeROIHeads,
    CascadeROIHeads: SamplingFreeCascadeROIHeads,
}

Node = DictConfig  # a recorded call: `LazyCall(GuidedScaling)(factor=2)`


def make_sampling_free(
    model_config: DictConfig,
    *,
    scaling: Node | Mapping[str, Node] | None = None,
    classification_loss: Node | None = None,
    box_loss: Node | None = None,
    sampling: Node | Mapping[str, Node] | None = None,
    normalizer: Node | Mapping[str, Node] | None = None,
    heads: Collection[str] = ("rpn", "roi"),
    boundary_threshold: float = recipe.BOUNDARY_THRESHOLD,
) -> DictConfig:
    """Turn the model node of a LazyConfig into its sampling-free form, in place: RetinaNet, FCOS, and R-CNNs.

    R-CNNs are Faster, Mask, Keypoint and Cascade R-CNN and Panoptic FPN: a `GeneralizedRCNN` with `RPN` and
    `StandardROIHeads` or `CascadeROIHeads`. All choices appear in the node, so that a command line can override them.
    Bias and threshold keep their values until `fit_prior` computes them from data; an RoI head's threshold becomes 1e-3
    here, as in the released code: N_f / N of its proposals, about 0.1, would hide most detections.

    A choice is a node, not an object, because configs are written to files. For the two heads of a two-stage model
    `scaling`, `sampling` and `normalizer` may be mappings with the keys "rpn" and "roi"; a single node serves both.

    Args:
        model_config: the node, as detectron2's `configs/common/models` have it.
        scaling: of the classification loss. Default: `LearnedScaling()` (v2) for one-stage models; for two-stage
            models, as in v1 and the released code, `GuidedScaling()` in the RPN and `GuidedScaling(2)` in the RoI head.
            The stages of Cascade R-CNN count as one, unless it is a `PerStage`.
        classification_loss: of a one-stage model; default `SigmoidCrossEntropy()`. Two-stage heads train with
            detectron2's own cross-entropy.
        box_loss: of RetinaNet, on encoded boxes, such as `GHMR()`; default detectron2's own.
        sampling: which examples of a two-stage model train; default `AllExamples()`. A choice that weighs them too is
            for the RoI heads: `ISR()`. Cascade R-CNN chooses before its first stage, unless it is an `EveryStage`.
        normalizer: what losses are divided by; default `PerForeground()` for one-stage models, `PerForeground(1/8)` in
            the RPN and `PerForeground(1/4)` in the RoI head (the released code's weights).
        heads: of a two-stage model, which heads are converted: the papers' ablation.
        boundary_threshold: RPN anchors that reach further than this many pixels out of the image are ignored (0, as in
            the released code); a negative number keeps them all, as detectron2 does.

    Returns:
        `model_config` itself.

    Raises:
        UserError: the node is none of these, is converted already, or an option does not apply to it.
    """
    model = _target(model_config, "the model")
    if model in (RetinaNet, FCOS):
        if sampling is not None:
            raise UserError(f"sampling= applies to two-stage models; {model.__name__} trains every example anyway")
        _convert_one_stage(model_config, scaling, classification_loss, box_loss, normalizer)
    elif isinstance(model, type) and issubclass(model, GeneralizedRCNN):
        if classification_loss is not None or box_loss is not None:
            raise UserError(
                "classification_loss= and box_loss= apply to one-stage models; two-stage heads train with "
                "detectron2's own cross-entropy and smooth L1"
            )
        if not heads or not set(heads) <= {"rpn", "roi"}:
            raise UserError(f"heads= must name 'rpn', 'roi' or both, not {heads!r}")
        _check_forms(model_config, heads)
        choices = {"scaling": scaling, "sampling": sampling, "normalizer": normalizer}
        if "rpn" in heads:
            chosen = {name: _for_head("rpn", choice) for name, choice in choices.items()}
            _convert_rpn(model_config.proposal_generator, boundary_threshold=boundary_threshold, **chosen)
        if "roi" in heads:
            _convert_roi_heads(
                model_config.roi_heads, **{name: _for_head("roi", choice) for name, choice in choices.items()}
            )
    else:
        what = "is sampling-free already" if model in _FORMS.values() else "is none of these"
        raise UserError(
            f"make_sampling_free takes a node of detectron2's RetinaNet, FCOS or GeneralizedRCNN; "
            f"{model.__name__} {what}"
        )
    return model_config


def to_host(model: nn.Module) -> nn.Module:
    """detectron2's plain model from its sampling-free form, for deployment: a copy with its weights and threshold.

    Its detections are those of `model`. Its state dict loads into a model that detectron2 built, and the other way
    round; detectron2's export takes it as any model of its own. What trains, such as the learned scale and the
    foreground statistics, is left out.

    Args:
        model: a built model, whose config `make_sampling_free` converted; stays as it is.

    Raises:
        UserError: the model is not sampling-free, or has no plain form (ATSS, PAA, FoveaBox, YOLOv3).
    """
    return plain_copy(model, {form: host for host, form in _FORMS.items()})


def _convert_one_stage(
    node: DictConfig, scaling: Any, classification_loss: Any, box_loss: Any, normalizer: Any
) -> None:
    for idle in ("focal_loss_alpha", "focal_loss_gamma"):
        node.pop(idle, None)
    chosen = {"classification_loss": classification_loss, "normalizer": normalizer, "scaling": scaling}
    _become(node, recipe.DENSE, **{name: _for_head("dense", choice) for name, choice in chosen.items()})
    if box_loss is not None:
        OmegaConf.update(node, "box_loss", _for_head("dense", box_loss), force_add=True)


def _convert_rpn(node: DictConfig, *, boundary_threshold: float, **chosen: Any) -> None:
    _become(node, recipe.RPN, **chosen)
    OmegaConf.update(node, "anchor_boundary_thresh", boundary_threshold, force_add=True)


def _convert_roi_heads(node: DictConfig, **chosen: Any) -> None:
    predictors = node.box_predictors if "box_predictors" in node else [node.box_predictor]
    _become(node, recipe.ROI, **chosen)
    for predictor in predictors:
        predictor.test_score_thresh = recipe.ROI_SCORE_THRESHOLD


def _become(node: DictConfig, parts: Recipe, **chosen: Any) -> None:
    """Give a node the sampling-free form of its target, and the parts of the recipe where none was chosen."""
    form = _FORMS[_target(node, "this part of the model")]
    try:
        node._target_ = form  # as LazyCall does, which detectron2's config tools understand
    except UnsupportedValueType:  # a config that was read from YAML holds no classes
        node._target_ = f"{form.__module__}.{form.__qualname__}"
    for name, part in parts.items():
        choice = chosen.get(name)
        OmegaConf.update(node, name, L(part.func)(**part.keywords) if choice is None else choice, force_add=True)


def _check_forms(model_config: DictConfig, heads: Collection[str]) -> None:
    """Refuse, before anything is changed, a part that has no sampling-free form."""
    for head, name in (("rpn", "proposal_generator"), ("roi", "roi_heads")):
        part = _target(model_config.get(name), name)
        if head in heads and part not in _FORMS:
            what = "already sampling-free" if part in _FORMS.values() else f"a {part.__name__}"
            raise UserError(
                f"make_sampling_free converts RPN, StandardROIHeads and CascadeROIHeads, but {name} is {what}; "
                f"leave that head out with heads="
            )


def _target(node: Any, what: str) -> type:
    """The class that a node calls."""
    target = node.get("_target_") if isinstance(node, Mapping | DictConfig) else None
    found = locate(target) if isinstance(target, str) else target
    if not isinstance(found, type):
        raise UserError(f"{what} is no LazyConfig node of a detectron2 class, but {type(node).__name__}; see LazyCall")
    return found


def _for_head(name: str, choice: Any) -> Any:
    """The choice for one head: a mapping's entry, or a copy of the node itself."""
    if choice is None:
        return None
    if isinstance(choice, Mapping | DictConfig) and "_target_" not in choice:
        unknown = set(choice) - {"rpn", "roi"}
        if unknown or name == "dense":
            raise UserError(
                f"a mapping of choices has the keys 'rpn' and 'roi' of a two-stage model, not {list(choice)}"
            )
        choice = choice.get(name)
    if choice is not None and not isinstance(choice, DictConfig):
        raise UserError(
            f"a choice in a config is a node such as LazyCall(GuidedScaling)(factor=2), not {type(choice).__name__}: "
            f"configs are written to files"
        )
    return copy.deepcopy(choice)
