"""Faults of the machine that end a run, said in a sentence: no space, a folder that is gone."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from sampling_free.errors import UserError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def no_space(path: str | Path, error: OSError) -> UserError | None:
    """The sentence for a file that does not fit, or None for another error."""
    if error.errno not in _NO_SPACE:
        return None
    return UserError(
        f"no space left for {path} ({os.strerror(error.errno)}); what was there before is whole: "
        f"make room, and go on with --resume"
    )


@contextlib.contextmanager
def naming_faults(folder: Path) -> Iterator[None]:
    """Within it, an error of the machine while a run writes becomes a sentence.

    Args:
        folder: of the run.

    Raises:
        UserError: there is no space left, or the folder has gone.
    """
    try:
        yield
    except OSError as error:
        if not folder.is_dir():
            raise UserError(
                f"output folder {folder} is gone: it was removed or renamed while the run wrote to it"
            ) from error
        sentence = no_space(error.filename or folder, error)
        if sentence is None:
            raise
        raise sentence from error
