"""What `train` of a config may hold, refused before anything is loaded where it makes no sense."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from sampling_free import config
from sampling_free.errors import UserError
from sampling_free.runs.launch import Launch

Rule = tuple[Callable[[Any], bool], str]  # whether a value fits, and what would


def whole(least: int, words: str = "") -> Rule:
    """A whole number."""
    return lambda value: _is_whole(value) and value >= least, words or f"a whole number of at least {least}"


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_share(value: Any) -> bool:
    return _is_positive(value) and value < 1


def null_or(rule: Rule) -> Rule:
    """Null, or what another rule allows."""
    fits, words = rule
    return lambda value: value is None or fits(value), f"null or {words}"


POSITIVE: Rule = (_is_positive, "a positive number")
SHARE: Rule = (_is_share, "a decay between 0 and 1")
YES_OR_NO: Rule = (lambda value: isinstance(value, bool), "true or false")

NOT_NEGATIVE: Rule = (lambda value: _is_number(value) and value >= 0, "a number of at least 0")

# of every host
SHARED: dict[str, Rule] = {
    "init_checkpoint": null_or((lambda value: isinstance(value, str), "the path of a checkpoint")),
    "max_iter": whole(1),
    "eval_period": whole(0, "a whole number; 0 evaluates only at the end"),
    "log_period": whole(1),
    "seed": (lambda value: _is_whole(value) and 0 <= value < 2**32, "a whole number from 0 to 4294967295"),
    "clip_grad": null_or(POSITIVE),
    "prior": (
        lambda value: value in ("auto", None) or _is_share(value),
        '"auto", null or a number between 0 and 1',
    ),
    "gradient_shares": YES_OR_NO,
}


@dataclass(frozen=True)
class Options:
    """`train` of a config, checked: what every host has.

    Attributes:
        output_dir: of the run.
        init_checkpoint: weights to start from, or to evaluate; None or "" for none.
        max_iter: iterations.
        eval_period: iterations between evaluations, 0 for the last one alone.
        log_period: iterations between rows of metrics.csv.
        checkpoint_period: iterations between writes of the last checkpoint, 0 for the end alone.
        seed: of weights, data order, augmentation and everything random in the model.
        clip_grad: largest norm of the gradient, or None.
        prior: "auto", a number or None.
        gradient_shares: whether shares of the gradient are logged; see `GradientShares`.
    """

    output_dir: str
    init_checkpoint: str | None
    max_iter: int
    eval_period: int
    log_period: int
    checkpoint_period: int
    seed: int
    clip_grad: float | None
    prior: str | float | None
    gradient_shares: bool


def nodes_of(cfg: DictConfig) -> dict[str, Any]:
    """The parts of a config as plain values, checked as far as every host has them.

    Raises:
        UserError: a part is missing or no mapping, or a number in it makes no sense.
    """
    nodes: dict[str, Any] = {}
    for name in ("train", "model", "optimizer", "lr_multiplier", "dataloader"):
        nodes[name] = config.plain(cfg[name]) if OmegaConf.is_config(cfg.get(name)) else None
        if not isinstance(nodes[name], dict):
            raise UserError(f"{name} must be a mapping of keys to values, not {cfg.get(name)!r}")
    for name in ("optimizer", "lr_multiplier", "model"):
        if "_target_" not in nodes[name]:
            raise UserError(f"{name} must say what it calls (_target_); start from one of configs/")
    check_options({"lr": 0.0} | nodes["optimizer"], {"lr": NOT_NEGATIVE}, where="optimizer")
    for split, batch, least in (("train", "total_batch_size", 1), ("test", "batch_size", 1)):
        node = nodes["dataloader"].get(split)
        if not isinstance(node, dict):
            raise UserError(f"dataloader.{split} must be a mapping of keys to values, not {node!r}")
        rules = {batch: whole(least, "a whole number of images, at least 1, in a batch"), "num_workers": whole(0)}
        check_options({batch: 1, "num_workers": 0} | node, rules, where=f"dataloader.{split}")
        if "dataset" in node and not isinstance(node["dataset"], dict):
            raise UserError(f"dataloader.{split}.dataset must say what it calls (_target_), not {node['dataset']!r}")
    return nodes


def check_options(options: Mapping[str, Any] | DictConfig, rules: Mapping[str, Rule], *, where: str = "train") -> None:
    """Compare a node of a config with rules.

    Args:
        options: the node.
        rules: per key.
        where: the node's name in the config.

    Raises:
        UserError: a key is missing or its value makes no sense; it names the key.
    """
    for name, (fits, wanted) in rules.items():
        if name not in options:
            raise UserError(f"the config has no {where}.{name}; start from a config of configs/, which has them all")
        if not fits(options[name]):
            raise UserError(f"{where}.{name} must be {wanted}, not {options[name]!r}")


def check_devices(launch: Launch) -> None:
    """Compare the processes asked for with the GPUs of this machine.

    Raises:
        UserError: there are fewer.
    """
    if torch.cuda.is_available() and launch.num_gpus > torch.cuda.device_count():
        raise UserError(f"--num-gpus {launch.num_gpus}, but this machine has {torch.cuda.device_count()}")
