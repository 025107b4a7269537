"""Reading checkpoints: ours, or a bare state dict of torchvision's. They are data: nothing in them is run."""

import logging
import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torchvision.models import get_weight

from sampling_free.errors import UserError
from sampling_free.runs.checkpoints import read_checkpoint
from sampling_free.torchvision.train.datasets import DetectionDataset

logger = logging.getLogger(__name__)

_PREFIX = "model."  # of the detector in the checkpoint of a training run
_NAMED = 3  # how many differences a message names


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a checkpoint of a run, or a state dict, into a detector.

    Raises:
        UserError: no such file, not a checkpoint, or of another model; it names the first parameters that differ.
    """
    state = _state(path)
    differing = "; ".join(_differing(model, state)[:_NAMED])
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"weights {path} are of another model than the config's: {differing or 'names differ'}; "
            f"use the config that they were trained with"
        ) from error


def start_from(model: nn.Module, weights: str) -> None:
    """Load the weights that fit, to start training from: those of a backbone, or of a model with other classes.

    Args:
        model: the detector.
        weights: a file as `load_weights` takes it, or the name of weights of torchvision's,
            "RetinaNet_ResNet50_FPN_Weights.COCO_V1" for one.

    Raises:
        UserError: no such file or name, the weights cannot be fetched, none fits, or a backbone's have other shapes.
    """
    state = _of_torchvision(weights) if re.fullmatch(r"\w+_Weights\.\w+", weights) else _state(weights)
    own = model.state_dict()
    fitting = {n: value for n, value in state.items() if n in own and own[n].shape == value.shape}
    unfit = [name for name in own if name not in fitting and not _is_counted(name)]
    foreign = [name for name in unfit if name.startswith("backbone.") and name in state]
    if foreign or not fitting:
        differing = "; ".join(_differing(model, state)[:_NAMED])
        raise UserError(
            f"weights {weights} are of another model than the config's: {differing}; no training starts there"
        )
    if unfit:  # what was counted for other classes does not hold
        fitting = {name: value for name, value in fitting.items() if not _is_counted(name)}
        modules = sorted({name.rpartition(".")[0] for name in unfit})
        logger.info("not in %s, so from random weights: %s", weights, ", ".join(modules))
    model.load_state_dict(fitting, strict=False)


def _state(path: str | Path) -> dict[str, Tensor]:
    content = read_checkpoint(path)
    state = content.get("state_dict", content.get("model", content))
    if all(name.startswith(_PREFIX) for name in state):
        state = {name.removeprefix(_PREFIX): value for name, value in state.items()}
    return state


def _of_torchvision(name: str) -> dict[str, Tensor]:
    try:
        weights = get_weight(name)
    except (AttributeError, ValueError) as error:
        raise UserError(f"torchvision has no weights named {name} ({error})") from error
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:  # of the network, or of a file that broke off
        raise UserError(
            f"weights {name} cannot be fetched ({error}); download {weights.url} and name the file instead"
        ) from error


def _is_counted(name: str) -> bool:
    """Whether an entry of a state dict was counted from data, and not learned."""
    return bool({*name.split(".")} & {"statistics", "fitted_threshold", "score_thresh"})


def iteration_of(path: Path) -> int:
    """Iterations that a run's checkpoint has behind it."""
    content = read_checkpoint(path)
    if "global_step" not in content:
        raise UserError(f"{path} holds weights but no training state, so a run cannot resume from it")
    return int(content["global_step"])


def refuse_other_classes(model: nn.Module, data: DetectionDataset) -> None:
    """Check before the first batch that the model has a column for every label of the data; warn of more columns.

    Raises:
        UserError: it has too few.
    """
    num_classes, needed = _num_classes(model), data.num_labels
    if num_classes is None or num_classes == needed:
        return
    labels = f"labels up to {needed - 1} ({data.label_names[needed - 1]})"
    if num_classes < needed:
        raise UserError(
            f"the data has {labels}, but the model was built with num_classes={num_classes}; it needs {needed}, "
            f"background included"
        )
    logger.warning("The data has %s: of the model's num_classes=%d it needs %d.", labels, num_classes, needed)


def _num_classes(model: Any) -> int | None:
    if hasattr(model, "head"):
        return getattr(model.head, "classification_head", model.head).num_classes
    classifier = getattr(model.roi_heads.box_predictor, "cls_score", None)
    return None if classifier is None else classifier.out_features


def _differing(model: nn.Module, state: dict[str, Any]) -> list[str]:
    """The parameters that a state dict has in another shape, or not at all."""
    found = []
    for name, value in model.state_dict().items():
        other = state.get(name)
        if other is None:
            found.append(f"{name} is missing")
        elif tuple(other.shape) != tuple(value.shape):
            found.append(f"{name} is {tuple(other.shape)}, not {tuple(value.shape)}")
    return found
