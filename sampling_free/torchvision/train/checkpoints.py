"""Reading checkpoints: ours, or a bare state dict of torchvision's. They are data: nothing in them is run."""

import logging
from pathlib import Path
from typing import Any

from torch import nn

from sampling_free.errors import UserError
from sampling_free.runs.checkpoints import read_checkpoint
from sampling_free.torchvision.train.datasets import DetectionDataset

logger = logging.getLogger(__name__)

_PREFIX = "model."  # of the detector in the checkpoint of a training run


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a checkpoint of a run, or a state dict, into a detector.

    Raises:
        UserError: no such file, not a checkpoint, or of another model; it names the first parameters that differ.
    """
    content = read_checkpoint(path)
    state = content.get("state_dict", content.get("model", content))
    if all(name.startswith(_PREFIX) for name in state):
        state = {name.removeprefix(_PREFIX): value for name, value in state.items()}
    differing = _differing(model, state)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"weights {path} are of another model than the config's: {differing or 'names differ'}; "
            f"use the config that they were trained with"
        ) from error


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


def _differing(model: nn.Module, state: dict[str, Any]) -> str:
    """The first few parameters that a state dict has in another shape, or not at all."""
    found = []
    for name, value in model.state_dict().items():
        other = state.get(name)
        if other is None:
            found.append(f"{name} is missing")
        elif tuple(other.shape) != tuple(value.shape):
            found.append(f"{name} is {tuple(other.shape)}, not {tuple(value.shape)}")
    return "; ".join(found[:3])
