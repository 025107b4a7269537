"""Paths of a data set as a config gives them."""

import os
from pathlib import Path
from typing import Any

from sampling_free.errors import UserError

_VARIABLES: dict[str, str] = {}  # the environment variable that each root came from, for messages


def root_from(variable: str, default: str) -> str:
    """The folder that an environment variable names, for a config file.

    Args:
        variable: its name.
        default: where it is not set.
    """
    root = os.environ.get(variable) or default
    _VARIABLES[root] = variable
    return root


def existing(root: Any) -> Path:
    """The folder of a data set.

    Raises:
        UserError: it is not there; the environment variable is named from which the config took it.
    """
    folder = within(root)
    if not folder.is_dir():
        variable = _VARIABLES.get(str(root))
        places = "the dataset's root in the config" + (f", or the environment variable {variable}," if variable else "")
        raise UserError(f"there is no data set at {folder}; set {places} to where it lies")
    return folder


def within(root: Any, *parts: Any) -> Path:
    """A folder or file of a data set; `~` is the home folder.

    Args:
        root: folder of the data set.
        parts: path within it.

    Raises:
        UserError: one of them is no path, as of a config's key that is null or a number.
    """
    for part in (root, *parts):
        if not isinstance(part, str | Path) or not str(part):
            raise UserError(f"root, images and annotations of a data set are paths, not {part!r}; mend the config")
    return Path(root).expanduser().joinpath(*parts)
