"""Config files in detectron2's LazyConfig format: load, override, instantiate, save; refuses what LazyConfig lets pass.

A file is a config, or holds several: `FILE.py:VARIANT` is what the function `VARIANT` of the file returns. Unknown
override keys are refused with the nearest name, and a mistake of the user is one sentence (`UserError`) that names the
file or the key. Config files are Python programs: load only those you trust.
"""

import dataclasses
import difflib
import inspect
import logging
import os
import pydoc
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf, SCMode
from omegaconf.errors import OmegaConfBaseException

from sampling_free import packaged
from sampling_free.errors import UserError
from sampling_free.lazy import LazyCall, as_config, run_file, target_path
from sampling_free.lazy import apply_overrides as _apply_overrides
from sampling_free.lazy import instantiate as _instantiate

__all__ = ["LazyCall", "apply_overrides", "as_config", "instantiate", "load", "plain", "save"]

logger = logging.getLogger(__name__)


def load(path: str | Path, overrides: Sequence[str] = (), *, required: Sequence[str] = ("model",)) -> DictConfig:
    """Loads a config file (.py, or the .yaml that `save` wrote) and applies `key=value` overrides.

    Args:
        path: the config file; `FILE.py:VARIANT` for a variant of it. Where there is none of this name, the
            package's own of this name, as "detectron2/retinanet.py:shapes".
        overrides: as on the command line, e.g. `["train.max_iter=200", "+train.note=first"]`.
        required: top-level keys that must be there.

    Raises:
        UserError: no such file or variant, an error in it, a required key is missing, an override is refused.
    """
    path, variant = _split(path)
    path = packaged.find(path)
    if path.suffix not in (".py", ".yaml", ".yml"):
        raise UserError(f"Config file {path} must be a .py file (LazyConfig) or the .yaml of a run.")
    if not path.is_file():
        raise UserError(f"Config file {path} does not exist{_did_you_mean_file(path)}.")
    cfg = _load_python(path, variant) if path.suffix == ".py" else _load_yaml(path)
    for key in required:
        if key not in cfg:
            raise UserError(f"Config file {path} defines no `{key}`; it has: {', '.join(map(str, cfg)) or 'nothing'}.")
    _name_output(cfg, path, variant)
    return apply_overrides(cfg, overrides)


def _split(path: str | Path) -> tuple[Path, str | None]:
    """File and variant of `FILE.py:VARIANT`; a colon elsewhere belongs to the file's name."""
    file, colon, variant = str(path).rpartition(":")
    return (Path(file), variant) if colon and file.endswith(".py") else (Path(path), None)


def _load_python(path: Path, variant: str | None) -> DictConfig:
    try:
        variables = run_file(path)
        found = {} if "model" in variables else _variants(variables, path)
        if not found and variant is None:
            return as_config(variables)
        if not found:
            raise UserError(f"Config file {path} has no variants; leave out ':{variant}'.")
        if variant not in found:
            raise UserError(_unknown_variant(path, variant, list(found)))
        return as_config(found[variant]())
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise UserError(_missing_module(path, error)) from error
    except Exception as error:
        raise UserError(_failure(path, error)) from error


def variants(path: str | Path) -> dict[str, str]:
    """Per variant of a config file the first line of its docstring.

    Raises:
        UserError: the file fails.
    """
    try:
        found = _variants(run_file(Path(path)), Path(path))
    except ModuleNotFoundError as error:
        raise UserError(_missing_module(Path(path), error)) from error
    except Exception as error:
        raise UserError(_failure(Path(path), error)) from error
    return {name: (inspect.getdoc(function) or "").partition("\n")[0] for name, function in found.items()}


def _variants(variables: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The functions without parameters that a file itself defines, by name."""
    return {
        name: value
        for name, value in variables.items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and value.__code__.co_filename == str(path)
        and not inspect.signature(value).parameters
    }


def _unknown_variant(path: Path, variant: str | None, names: list[str]) -> str:
    near = difflib.get_close_matches(variant or "", names, n=1)
    problem = (
        f"Config file {path} has no variant {variant!r}" if variant else f"Config file {path} has several variants"
    )
    hint = f"; did you mean {path}:{near[0]}" if near else f"; write {path}:{names[0]} or another of them"
    return f"{problem}{hint}: {', '.join(names)}."


def _name_output(cfg: DictConfig, path: Path, variant: str | None) -> None:
    """The output folder of a config that names none: `output/FOLDER/FILE/VARIANT`."""
    if OmegaConf.is_dict(cfg.get("train")) and "output_dir" in cfg.train and cfg.train.output_dir is None:
        parts = [part for part in (path.resolve().parent.name, path.stem, variant) if part]
        cfg.train.output_dir = str(Path("output", *parts))


def _missing_module(path: Path, error: ModuleNotFoundError) -> str:
    if (error.name or "").partition(".")[0] == "detectron2":
        return f"Config file {path} needs detectron2, which is not installed: run `make setup-detectron2`."
    return f"Config file {path} imports {error.name}, which is not installed."


def _failure(path: Path, error: Exception) -> str:
    """One sentence with the innermost place in a config file that the traceback knows."""
    if isinstance(error, SyntaxError):
        cause = error.__cause__ if isinstance(error.__cause__, SyntaxError) else error  # detectron2 wraps it
        file = error.filename or (re.findall(r"Config file (.+) has", str(error)) or [path])[0]
        return f"Config file {file} has a syntax error in line {cause.lineno}: {cause.msg}."
    # Frames of a config file are those whose code is called <module>: config files define, they seldom call.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == "<module>"]
    place = f" (line {frames[-1].lineno} of {frames[-1].filename})" if frames else ""
    return f"Config file {path} fails{place} with {type(error).__name__}: {str(error).strip().rstrip('.')}."


def _load_yaml(path: Path) -> DictConfig:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"Config file {path} is no plain yaml: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise UserError(f"Config file {path} holds no keys.")
    return DictConfig(content, flags={"allow_objects": True})


def _did_you_mean_file(path: Path) -> str:
    names = [entry.name for entry in path.parent.glob("*.py")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / near[0]}" if near else ""


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
            _apply_overrides(cfg, [text])
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
    target = _locate(target) if isinstance(target, str) else target
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


def plain(cfg: Any) -> Any:
    """Dicts, lists and values with interpolations resolved: library constructors do not know omegaconf's lists."""
    if not OmegaConf.is_config(cfg):
        return cfg
    return OmegaConf.to_container(cfg, resolve=True, structured_config_mode=SCMode.INSTANTIATE)


def instantiate(cfg: Any, key: str = "config") -> Any:
    """Makes the calls that a config node (or its `plain` form) records, innermost first.

    Args:
        cfg: the node.
        key: its name in the config, for messages.

    Raises:
        UserError: a target that cannot be found or an argument it does not take, with the config's key.
    """
    cfg = plain(cfg)
    if isinstance(cfg, list):
        return [instantiate(element, f"{key}.{index}") for index, element in enumerate(cfg)]
    if not (isinstance(cfg, Mapping) and "_target_" in cfg):
        return cfg
    call = {name: instantiate(value, f"{key}.{name}") for name, value in cfg.items()}
    target = call["_target_"]
    if isinstance(target, str) and not callable(_locate(target)):
        raise UserError(f"{key}: there is nothing callable at {target}.")
    try:
        return _instantiate(call)
    except TypeError as error:
        # Python's own words for a call that does not fit; any other TypeError is a fault of the callee.
        if not re.search(r"unexpected keyword argument|required (positional|keyword-only) argument", str(error)):
            raise
        name = target if isinstance(target, str) else target_path(target)
        raise UserError(f"{key} ({name}): {error}.") from error


def _locate(path: str) -> Any:
    try:
        return pydoc.locate(path)
    except pydoc.ErrorDuringImport:
        return None


def as_yaml(cfg: DictConfig) -> str:
    """The config with everything resolved, targets as dotted paths."""
    return yaml.safe_dump(_yaml_values(plain(cfg), "config"), sort_keys=False, allow_unicode=True, width=120)


def save(cfg: DictConfig, path: str | Path) -> None:
    """Writes the config as yaml with everything resolved and targets as dotted paths; `load` reads it back.

    The file appears whole or not at all. A class or function among the values becomes a call that finds it again.
    """
    path = Path(path)
    text = as_yaml(cfg)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _yaml_values(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        target = value.get("_target_")
        call = {"_target_": target_path(target)} if callable(target) else {}
        rest = {name: item for name, item in value.items() if name not in call}
        return call | {name: _yaml_values(item, f"{key}.{name}") for name, item in rest.items()}
    if isinstance(value, list | tuple):
        return [_yaml_values(item, f"{key}.{index}") for index, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):  # detectron2's ShapeSpec, for one
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _yaml_values({"_target_": type(value)} | fields, key)
    if hasattr(value, "__qualname__") and _locate(target_path(value)) is value:
        return {"_target_": "pydoc.locate", "path": target_path(value)}
    logger.warning("%s holds %r, which yaml cannot: the saved config is for reading only.", key, value)
    return repr(value)
