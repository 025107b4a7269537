"""Faults of the machine that end a run, said in a sentence: no space, a folder or a process that is gone."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from sampling_free.errors import UserError

PEER_GONE = (
    "another process of this run ended early; what it said tells why; if it said nothing, the system killed it, "
    "often because memory is short; --resume goes on from the last checkpoint"
)
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# torch's two ways to say it
_WORKER_GONE = re.compile(r"DataLoader worker .*?(?:is killed by signal: (?P<signal>[^.]+)|exited unexpectedly)")


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
        UserError: there is no space left, the folder has gone, or a worker that loads data has.
    """
    try:
        yield
    except RuntimeError as error:
        found = _WORKER_GONE.search(str(error))
        if found is None:
            raise
        raise UserError(
            f"a process that loads data was killed ({found['signal'] or 'it said nothing'}), often because memory is "
            f"short: lower dataloader.train.num_workers and dataloader.test.num_workers, and go on with --resume"
        ) from error
    except ConnectionResetError as error:  # how a worker that was killed may show, too
        raise UserError(
            "a process that loads data was killed, often because memory is short: lower dataloader.train.num_workers "
            "and dataloader.test.num_workers, and go on with --resume"
        ) from error
    except OSError as error:
        if not folder.is_dir():
            raise UserError(
                f"output folder {folder} is gone: it was removed or renamed while the run wrote to it"
            ) from error
        sentence = no_space(error.filename or folder, error)
        if sentence is None:
            raise
        raise sentence from error
