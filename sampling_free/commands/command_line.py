"""What the command lines `sampling-free NAME` and `python -m sampling_free.commands.NAME` share."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sampling_free.errors import UserError
from sampling_free.runs.launch import quiet_libraries


def program() -> str:
    """How the command was called, for its help."""
    called = sys.argv[0]
    return called if called.startswith("sampling-free ") else f"python -m sampling_free.commands.{Path(called).stem}"


def run(command: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None = None) -> int:
    """The exit status of a command; a mistake of the user is one sentence and status 2, an interruption 130."""
    quiet_libraries()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        status = command(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # who reads, such as `head`, has enough; what is left must not be written at the end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
