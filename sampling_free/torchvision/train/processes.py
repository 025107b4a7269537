"""What the other processes of a run do to this one, said in a sentence."""

import contextlib
import re
from collections.abc import Iterator

from sampling_free.errors import DivergedError, UserError
from sampling_free.runs.faults import PEER_GONE
from sampling_free.runs.launch import Launch


@contextlib.contextmanager
def speaking_of_peers(launch: Launch) -> Iterator[None]:
    """Within it Lightning's answer to Ctrl-C is Python's, and a process that has gone is told in a sentence.

    Raises:
        UserError: another process ended early.
    """
    try:
        yield
    except SystemExit as error:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from error
    except RuntimeError as error:
        is_ours = launch.processes == 1 or isinstance(error, DivergedError)
        if is_ours or not re.search("gloo|NCCL", str(error)):
            raise
        raise UserError(PEER_GONE) from error
