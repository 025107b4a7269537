"""From torchvision's detector to its sampling-free form, in place: another head takes the parts of the host's."""

import copy
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from torch import nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork

from sampling_free import recipe
from sampling_free.deployment import plain_copy
from sampling_free.errors import UserError
from sampling_free.mechanism import ExampleChoice, LossScaling
from sampling_free.mechanism.threshold import add_fitted_threshold
from sampling_free.recipe import completed
from sampling_free.torchvision.fcos import SamplingFreeFCOSHead
from sampling_free.torchvision.retinanet import SamplingFreeRetinaNetHead
from sampling_free.torchvision.roi_heads import SamplingFreeRoIHeads
from sampling_free.torchvision.rpn import SamplingFreeRPN

_HOSTS: dict[type[nn.Module], type[nn.Module]] = {
    SamplingFreeRetinaNetHead: RetinaNetHead,
    SamplingFreeFCOSHead: FCOSHead,
    SamplingFreeRPN: RegionProposalNetwork,
    SamplingFreeRoIHeads: RoIHeads,
}


def make_sampling_free(
    model: nn.Module,
    *,
    scaling: LossScaling | Mapping[str, LossScaling] | None = None,
    classification_loss: nn.Module | None = None,
    box_loss: nn.Module | None = None,
    sampling: ExampleChoice | Mapping[str, ExampleChoice] | None = None,
    normalizer: nn.Module | Mapping[str, nn.Module] | None = None,
    heads: Collection[str] = ("rpn", "roi"),
    boundary_threshold: float = recipe.BOUNDARY_THRESHOLD,
) -> nn.Module:
    """Turn torchvision's RetinaNet, FCOS, Faster, Mask or Keypoint R-CNN into its sampling-free form, in place.

    Calls, return types, loss names and the names of torchvision's parameters stay. New are the scale's state, the
    foreground statistics and the score threshold as buffers; a checkpoint of torchvision's loads with or without them.
    Bias and threshold keep their values until `fit_prior` computes them from data; an RoI head's threshold becomes
    1e-3 here, as in the released code: N_f / N of its proposals, about 0.1, would hide most detections.

    For the two heads of a two-stage model `scaling`, `sampling` and `normalizer` may be mappings with the keys
    "rpn" and "roi"; a single object serves both (a module is copied).

    Args:
        model: a detector built by any of torchvision's builders or classes.
        scaling: of the classification loss. Default: `LearnedScaling()` (v2) for one-stage models; for two-stage
            models, as in v1 and the released code, `GuidedScaling()` in the RPN and `GuidedScaling(2)` in the RoI head.
        classification_loss: of a one-stage model; default `SigmoidCrossEntropy()`. Two-stage heads train with
            torchvision's own cross-entropy.
        box_loss: of RetinaNet, on encoded boxes, such as `GHMR()`; default torchvision's own.
        sampling: which examples of a two-stage model train; default `AllExamples()`. A choice that weighs them too is
            for the RoI head: `ISR()`.
        normalizer: what losses are divided by; default `PerForeground()` for one-stage models, `PerForeground(1/8)` in
            the RPN and `PerForeground(1/4)` in the RoI head (the released code's weights).
        heads: of a two-stage model, which heads are converted: the papers' ablation.
        boundary_threshold: RPN anchors that reach further than this many pixels out of the image are ignored (0, as in
            the released code); a negative number keeps them all, as torchvision does. Anchors between a matcher's two
            thresholds (RetinaNet 0.4 and 0.5, RPN 0.3 and 0.7) stay ignored, as in the papers; the matcher has both.

    Returns:
        `model` itself.

    Raises:
        UserError: the model is none of these, is converted already, or an option does not apply to it.
    """
    before = set(model.state_dict())
    if isinstance(model, RetinaNet | FCOS):
        if sampling is not None:
            raise UserError(
                f"sampling= applies to two-stage models; {type(model).__name__} trains every example anyway"
            )
        choices = [_for_head("dense", choice) for choice in (scaling, normalizer)]
        _convert_dense(model, classification_loss, box_loss, *choices)
    elif isinstance(model, GeneralizedRCNN):
        if classification_loss is not None or box_loss is not None:
            raise UserError(
                "classification_loss= and box_loss= apply to one-stage models; two-stage heads train with "
                "torchvision's own cross-entropy and smooth L1"
            )
        if not heads or not set(heads) <= {"rpn", "roi"}:
            raise UserError(f"heads= must name 'rpn', 'roi' or both, not {heads!r}")
        if "rpn" in heads:
            chosen = [_for_head("rpn", choice) for choice in (scaling, sampling, normalizer)]
            _convert_rpn(model, *chosen, boundary_threshold=boundary_threshold)
        if "roi" in heads:
            _convert_roi_heads(model, *[_for_head("roi", c) for c in (scaling, sampling, normalizer)])
    else:
        raise UserError(
            f"make_sampling_free takes torchvision's RetinaNet, FCOS, FasterRCNN, MaskRCNN or KeypointRCNN, "
            f"not {type(model).__name__}"
        )
    model.register_load_state_dict_post_hook(partial(_forgive_missing, frozenset(set(model.state_dict()) - before)))
    return model


def to_host(model: nn.Module) -> nn.Module:
    """torchvision's plain model from its sampling-free form, for deployment: a copy with its weights and threshold.

    Its detections are those of `model`. Its state dict loads into a model that torchvision built, and the other way
    round; `torch.jit.script` and `torch.onnx.export` take it as any model of torchvision's. What trains, such as the
    learned scale and the foreground statistics, is left out.

    Args:
        model: what `make_sampling_free` converted; stays as it is.

    Raises:
        UserError: the model was not converted.
    """
    return plain_copy(model, _HOSTS)


def _convert_dense(
    model: RetinaNet | FCOS,
    classification_loss: nn.Module | None,
    box_loss: nn.Module | None,
    scaling: LossScaling | None,
    normalizer: nn.Module | None,
) -> None:
    form = SamplingFreeRetinaNetHead if isinstance(model, RetinaNet) else SamplingFreeFCOSHead
    parts = completed(recipe.DENSE, classification_loss=classification_loss, scaling=scaling, normalizer=normalizer)
    model.head = form(model.head, box_loss=box_loss, **parts)
    add_fitted_threshold(model, "score_thresh", (0.05, 0.2))  # torchvision's RetinaNet and FCOS


def _convert_rpn(
    model: GeneralizedRCNN,
    scaling: LossScaling | None,
    sampling: ExampleChoice | None,
    normalizer: nn.Module | None,
    *,
    boundary_threshold: float,
) -> None:
    parts = completed(recipe.RPN, scaling=scaling, sampling=sampling, normalizer=normalizer)
    model.rpn = SamplingFreeRPN(model.rpn, boundary_threshold=boundary_threshold, **parts)


def _convert_roi_heads(
    model: GeneralizedRCNN,
    scaling: LossScaling | None,
    sampling: ExampleChoice | None,
    normalizer: nn.Module | None,
) -> None:
    parts = completed(recipe.ROI, scaling=scaling, sampling=sampling, normalizer=normalizer)
    model.roi_heads = heads = SamplingFreeRoIHeads(model.roi_heads, **parts)
    add_fitted_threshold(heads, "score_thresh", (0.05,))
    heads.fitted_threshold.offer(heads, recipe.ROI_SCORE_THRESHOLD)


def _for_head(name: str, choice: Any) -> Any:
    """The choice for one head: a mapping's entry, a copy of a module, or the object itself."""
    if isinstance(choice, Mapping):
        unknown = set(choice) - {"rpn", "roi"}
        if unknown or name == "dense":
            raise UserError(
                f"a mapping of choices has the keys 'rpn' and 'roi' of a two-stage model, not {list(choice)}"
            )
        return choice.get(name)
    return copy.deepcopy(choice)


def _forgive_missing(added: frozenset[str], model: nn.Module, incompatible_keys: Any) -> None:
    """Let a checkpoint of torchvision's, which has none of the names that we added, load strictly."""
    missing = incompatible_keys.missing_keys
    absent = [key for key in missing if any(key == name or key.endswith("." + name) for name in added)]
    if len(absent) == len(added):
        missing[:] = [key for key in missing if key not in absent]
