"""The choices in a yacs config (YAML), written as in a LazyConfig: `GuidedScaling(factor=2)`.

A choice is the name of a class of the mechanism, the heuristics or this host, called with numbers, strings or further
choices by keyword. It is parsed, not run.
"""

import ast
from typing import Any

from detectron2.config import CfgNode

from sampling_free import heuristics, mechanism, recipe
from sampling_free.detectors import NoQuality, Objectness
from sampling_free.errors import UserError
from sampling_free.recipe import as_text


def add_sampling_free_config(cfg: CfgNode) -> None:
    """Add the node `MODEL.SAMPLING_FREE` to a config of detectron2's, in place, with the defaults of our classes.

    It is read by `MODEL.META_ARCHITECTURE: SamplingFreeRetinaNet`, `SamplingFreeFCOS`, or `ATSS` and the like,
    `MODEL.PROPOSAL_GENERATOR.NAME: SamplingFreeRPN` and `MODEL.ROI_HEADS.NAME: SamplingFreeROIHeads` or
    `SamplingFreeCascadeROIHeads`. What else the method touches has nodes of detectron2's own:
    `MODEL.RPN.BOUNDARY_THRESH` (0 in the released code) and `MODEL.ROI_HEADS.SCORE_THRESH_TEST` (1e-3 there).
    """
    cfg.MODEL.SAMPLING_FREE = node = CfgNode()
    # where bias and score threshold come from before training starts: "auto" (from the training data), a number as a
    # text ("1e-5"), or "" (they stay as built or loaded); read by `default_trainer.SamplingFreeTrainer`
    node.PRIOR = "auto"
    # of RetinaNet and FCOS
    node.CLASSIFICATION_LOSS = as_text(recipe.DENSE["classification_loss"])
    node.BOX_LOSS = "None"  # the detector's own; RetinaNet and FoveaBox take GHMR()
    node.NORMALIZER = as_text(recipe.DENSE["normalizer"])
    node.SCALING = "None"  # the detector's own: LearnedScaling(), of YOLOv3 GuidedScaling()
    # of ATSS, PAA, FoveaBox and YOLOV3, which read the losses and scaling above; "None": the detector's own
    node.DENSE = CfgNode()
    node.DENSE.NUM_CLASSES = 80
    node.DENSE.IN_FEATURES = ["p3", "p4", "p5", "p6", "p7"]  # c3, c4, c5 behind DarkNet-53
    node.DENSE.NORMALIZER = "None"
    node.DENSE.SCORE_THRESH_TEST = 0.05
    node.DENSE.QUALITY = "None"  # YOLOV3 takes Objectness(), its own baseline
    node.DENSE.DARKNET_WEIGHTS = ""  # "DEFAULT" for timm's ImageNet weights
    # of the region proposal network
    node.RPN = CfgNode({name.upper(): as_text(part) for name, part in recipe.RPN.items()})
    # of the RoI heads
    node.ROI_HEADS = CfgNode({name.upper(): as_text(part) for name, part in recipe.ROI.items()})


def dense_choices(cfg: CfgNode) -> dict[str, Any]:
    """The arguments that a one-stage detector adds; none where the config has no node of ours."""
    node = cfg.MODEL.get("SAMPLING_FREE")
    names = ("classification_loss", "box_loss", "normalizer", "scaling")
    return {} if node is None else _choices(node, "MODEL.SAMPLING_FREE", *names)


def dense_detector_choices(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of the builders in `sampling_free.detectors`."""
    node, where = cfg.MODEL.SAMPLING_FREE, "MODEL.SAMPLING_FREE"
    choices = _choices(node, where, "classification_loss", "box_loss", "scaling")
    own = _choices(node.DENSE, f"{where}.DENSE", "normalizer", "quality")
    named = {name: value for name, value in own.items() if value is not None}
    return choices | named | {"score_threshold": node.DENSE.SCORE_THRESH_TEST}


def rpn_choices(cfg: CfgNode) -> dict[str, Any]:
    """The arguments that the region proposal network adds; none where the config has no node of ours."""
    node = cfg.MODEL.get("SAMPLING_FREE")
    return {} if node is None else _choices(node.RPN, "MODEL.SAMPLING_FREE.RPN", "sampling", "normalizer", "scaling")


def roi_choices(cfg: CfgNode) -> dict[str, Any]:
    """The arguments that the RoI heads add; none where the config has no node of ours."""
    node = cfg.MODEL.get("SAMPLING_FREE")
    where = "MODEL.SAMPLING_FREE.ROI_HEADS"
    return {} if node is None else _choices(node.ROI_HEADS, where, "sampling", "normalizer", "scaling")


def _choices(node: CfgNode, where: str, *names: str) -> dict[str, Any]:
    return {name: choice(node[name.upper()], f"{where}.{name.upper()}") for name in names}


def choice(text: str, key: str) -> Any:
    """The object that a text such as `GuidedScaling(factor=2)` stands for.

    Args:
        text: name of a class and its arguments by keyword.
        key: of the config, for the message.

    Raises:
        UserError: the text is no such thing, or the class does not take it.
    """
    try:
        return _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, TypeError, ValueError) as error:
        raise UserError(f"{key}: {text!r} is no choice such as GuidedScaling(factor=2): {error}") from error


def _value(node: ast.expr) -> Any:
    if not isinstance(node, ast.Call):
        return ast.literal_eval(node)
    if not isinstance(node.func, ast.Name) or node.args or any(keyword.arg is None for keyword in node.keywords):
        raise ValueError("expected the name of a class and its arguments by keyword")
    classes = _classes()
    if node.func.id not in classes:
        raise ValueError(f"{node.func.id} is none of {', '.join(sorted(classes))}")
    return classes[node.func.id](**{str(keyword.arg): _value(keyword.value) for keyword in node.keywords})


def _classes() -> dict[str, type]:
    from sampling_free.detectron2.cascade import EveryStage, PerStage  # cascade.py imports this file

    named = {name: getattr(room, name) for room in (mechanism, heuristics) for name in room.__all__}
    no_choices = {"Evidence", "ExampleChoice", "LossScaling", "Predictions", "WeightedChoice"}
    classes = {name: value for name, value in named.items() if isinstance(value, type) and name not in no_choices}
    classes |= {"NoQuality": NoQuality, "Objectness": Objectness}
    return classes | {"EveryStage": EveryStage, "PerStage": PerStage}
