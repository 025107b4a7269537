"""Paths of a data set as a config gives them."""

from pathlib import Path
from typing import Any

from sampling_free.errors import UserError


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
            raise UserError(
                f"a data set's root, images and annotations are paths, not {part!r}; set them in the config"
            )
    return Path(root).expanduser().joinpath(*parts)
