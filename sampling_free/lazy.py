"""LazyConfig on omegaconf and hydra's grammar: config files in Python, deferred calls, overrides.

Only `sampling_free.config` and `sampling_free.overrides` import this file. The public names have detectron2's meaning
and give its results; `tests/test_config.py` compares the two where both are there.
"""

import builtins
import dataclasses
import pydoc
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf

Target = Callable[..., Any] | str | Mapping[str, Any]


class LazyCall:
    """Records a call instead of making it: `LazyCall(Conv2d)(in_channels=3)` is a config node with `_target_`.

    Args:
        target: what is called later: a callable, its dotted path, or a config node that gives a callable.
    """

    def __init__(self, target: Target):
        if not (callable(target) or isinstance(target, str | Mapping)):
            raise TypeError(f"LazyCall needs a callable, its dotted path or a config node, got {target!r}.")
        self._target = target

    def __call__(self, **arguments: Any) -> DictConfig:
        """The config node of this call; its arguments can be changed until `instantiate` makes it."""
        # omegaconf would take a dataclass for a structured config, hence its path.
        target = target_path(self._target) if dataclasses.is_dataclass(self._target) else self._target
        node: dict[Any, Any] = {**arguments, "_target_": target}
        return DictConfig(node, flags={"allow_objects": True})


def target_path(target: Any) -> str:
    """The dotted path under which `pydoc.locate` finds a class or function again."""
    return f"{target.__module__}.{target.__qualname__}"


def locate(path: str) -> Any:
    """What a dotted path names; None for nothing, or for what cannot be imported."""
    try:
        return pydoc.locate(path)
    except pydoc.ErrorDuringImport:
        return None


def run_file(path: Path) -> dict[str, Any]:
    """The variables of a Python config file after it ran; dicts are config nodes.

    Relative imports in it (`from .common.coco import on_coco`) mean other config files, by their place on the disk.
    Each import runs its file anew: changing what was imported changes nobody else's copy.
    """
    return _run(path)


def as_config(variables: Mapping[str, Any]) -> DictConfig:
    """The config that variables make: dicts, config nodes, and the name of the engine."""
    nodes = {name: _as_node(value) for name, value in variables.items() if not name.startswith("_")}
    kept = {
        name: value
        for name, value in nodes.items()
        if isinstance(value, DictConfig | ListConfig) or (name == "engine" and isinstance(value, str))
    }
    return DictConfig(kept, flags={"allow_objects": True})


def _run(path: Path) -> dict[str, Any]:
    # The import statement asks the builtins of its own globals: a private copy of them is enough to give relative
    # imports their meaning here, and the interpreter's own import function is never touched.
    own_builtins = {**vars(builtins), "__import__": partial(_import, path)}
    variables: dict[str, Any] = {"__file__": str(path), "__name__": path.stem, "__builtins__": own_builtins}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), variables)
    return {name: _as_node(value) for name, value in variables.items() if name != "__builtins__"}


def _as_node(value: Any) -> Any:
    return DictConfig(value, flags={"allow_objects": True}) if isinstance(value, dict) else value


def _import(
    importer: Path,
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """`__import__` of a config file: relative imports read the file that lies there, all others are Python's."""
    if level == 0:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    base = importer.resolve().parents[level - 1].joinpath(*name.split(".")) if name else importer.parent
    path = base.with_name(base.name + ".py")
    if not name or not path.is_file():
        raise ImportError(f"{importer} imports {'.' * level}{name}, but there is no config file {path}.")
    variables = _run(path)
    missing = [wanted for wanted in fromlist or () if wanted not in variables]
    if missing:
        raise ImportError(f"{importer} imports {missing[0]} from {path}, which does not define it.")
    return SimpleNamespace(**variables)


def apply_overrides(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Sets `key=value` pairs (hydra's grammar) in place and returns the config."""
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
    return cfg


def instantiate(cfg: Any) -> Any:
    """Makes the recorded calls, innermost first. What is neither a list nor a node with `_target_` stays as it is."""
    if isinstance(cfg, list | ListConfig):
        return [instantiate(element) for element in cfg]
    if not (isinstance(cfg, Mapping) and "_target_" in cfg):
        return cfg
    arguments = {str(key): instantiate(value) for key, value in cfg.items()}
    target = arguments.pop("_target_")
    return (pydoc.locate(target) if isinstance(target, str) else target)(**arguments)  # type: ignore[operator]
