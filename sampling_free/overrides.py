"""Overrides of a config, `key=value` as on a command line: unknown keys are refused with the nearest name."""

import difflib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sampling_free.errors import UserError
from sampling_free.lazy import apply_overrides as _apply
from sampling_free.lazy import locate


def apply_overrides(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Sets `key=value` pairs in place and returns the config; `+key=value` adds a key that is not there yet.

    Raises:
        UserError: an override that cannot be read, or a key that the config does not have (with the nearest name).
    """
    for text in overrides:
        if (literal := _plain_text(cfg, text)) is not None:
            OmegaConf.update(cfg, *literal)
            continue
        override = _parse(text)
        _require_key(cfg, override.key_or_group, new=override.is_add() or override.is_force_add())
        try:
            _apply(cfg, [text])
        except Exception as error:
            raise UserError(f"Override {text!r} cannot be applied: {str(error).splitlines()[0]}") from error
    return cfg


def _plain_text(cfg: DictConfig, text: str) -> tuple[str, str] | None:
    """Key and value of an override that gives a text another text, such as a folder named 2024_01_05, `übung` or `a,b`.

    hydra's grammar takes these for a number, for nothing that it knows, and for a sweep.
    """
    key, equals, value = text.partition("=")
    try:
        if not equals or not isinstance(OmegaConf.select(cfg, key), str):
            return None
        override = OverridesParser.create().parse_overrides([text])[0]
    except OmegaConfBaseException:
        return None
    except HydraException:
        return key, value
    if override.is_sweep_override():
        return key, value
    parsed = override.value()
    return (key, value) if isinstance(parsed, int) and not isinstance(parsed, bool) else None


def _parse(text: str) -> Override:
    if text.startswith("-"):
        raise UserError(f"Option {text} stands behind the overrides (or is unknown); options go before key=value.")
    try:
        override = OverridesParser.create().parse_overrides([text])[0]
    except HydraException as error:
        raise UserError(f"Override {text!r} cannot be read; write key=value, lists as key=[1,2].") from error
    if override.is_delete() or override.is_sweep_override():
        raise UserError(f"Override {text!r} deletes or sweeps; only key=value and +key=value are understood.")
    return override


def _require_key(cfg: DictConfig, key: str, *, new: bool) -> None:
    """Walks down the key; its end may be missing with `new`, or where it is an argument of what a node calls.

    Values on the way have no keys in any case.
    """
    node: Any = cfg
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if isinstance(node, DictConfig) and part in node.keys():
            node = node.get(part)
        elif isinstance(node, ListConfig) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif not OmegaConf.is_config(node) and node is not None:
            raise UserError(f"Config key {'.'.join(parts[:depth])!r} is the value {node!r}; it has no {part!r} in it.")
        elif new or (depth == len(parts) - 1 and _is_argument(node, part)):
            return
        else:
            raise UserError(f"Unknown config key {key!r}{_nearest(cfg, parts, depth)}; +{key}=… adds a new one.")


def _is_argument(node: Any, name: str) -> bool:
    """Whether a node's call takes an argument by a name that its signature, or that of a class it passes on to, has."""
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    target = locate(target) if isinstance(target, str) else target
    calls = target.__mro__[:-1] if inspect.isclass(target) else [target] if callable(target) else []
    for call in calls:
        try:
            parameters = inspect.signature(call).parameters
        except (TypeError, ValueError):  # of a class without a signature
            return False
        if name in parameters:
            return True
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            return False
    return False


def _nearest(cfg: DictConfig, parts: list[str], depth: int) -> str:
    """The key that was probably meant: a sibling's name, then the whole path, then the same last name elsewhere."""
    keys = list(_dotted_keys(OmegaConf.to_container(cfg, resolve=False)))
    prefix = "".join(f"{part}." for part in parts[:depth])
    siblings = [key for key in keys if key.startswith(prefix) and "." not in key[len(prefix) :]]
    near = difflib.get_close_matches(prefix + parts[depth], siblings, n=1, cutoff=0.8)
    if near:
        near = [".".join([near[0], *parts[depth + 1 :]])]
    near = near or difflib.get_close_matches(".".join(parts), keys, n=1, cutoff=0.75)
    near = near or [key for key in keys if key.rpartition(".")[2] == parts[-1]][:1]
    return f"; did you mean {near[0]!r}" if near else ""


def _dotted_keys(tree: Any, prefix: str = "") -> Iterator[str]:
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, child in children:
        yield f"{prefix}{name}"
        yield from _dotted_keys(child, f"{prefix}{name}.")
