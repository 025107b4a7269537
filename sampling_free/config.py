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
import re
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf, SCMode
from omegaconf.errors import OmegaConfBaseException

from sampling_free import packaged
from sampling_free.errors import UserError
from sampling_free.lazy import LazyCall, as_config, locate, run_file, target_path
from sampling_free.lazy import instantiate as _instantiate
from sampling_free.overrides import apply_overrides

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


def plain(cfg: Any) -> Any:
    """Dicts, lists and values with interpolations resolved: library constructors do not know omegaconf's lists.

    Raises:
        UserError: an interpolation that cannot be resolved.
    """
    if not OmegaConf.is_config(cfg):
        return cfg
    try:
        return OmegaConf.to_container(cfg, resolve=True, structured_config_mode=SCMode.INSTANTIATE)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "a value"
        raise UserError(f"the config's {key} cannot be resolved: {str(error).splitlines()[0]}.") from error


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
    if isinstance(target, str) and not callable(locate(target)):
        raise UserError(f"{key}: there is nothing callable at {target}.")
    try:
        return _instantiate(call)
    except TypeError as error:
        # Python's own words for a call that does not fit; any other TypeError is a fault of the callee.
        if not re.search(r"unexpected keyword argument|required (positional|keyword-only) argument", str(error)):
            raise
        name = target if isinstance(target, str) else target_path(target)
        raise UserError(f"{key} ({name}): {error}.") from error


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
    if hasattr(value, "__qualname__") and locate(target_path(value)) is value:
        return {"_target_": "pydoc.locate", "path": target_path(value)}
    logger.warning("%s holds %r, which yaml cannot: the saved config is for reading only.", key, value)
    return repr(value)
