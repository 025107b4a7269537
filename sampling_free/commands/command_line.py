"""What the command lines `python -m sampling_free.<name>` share."""

import logging
import sys
import warnings
from collections.abc import Callable, Sequence

from sampling_free.errors import UserError


def quiet() -> None:
    """Ignore what detectron2 asks of torch though it is deprecated: nobody here can change that."""
    warnings.filterwarnings("ignore", message=".torch.jit.script. is deprecated", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".broadcast_buffers. is deprecated", category=FutureWarning)
    warnings.filterwarnings("ignore", message="torch.meshgrid")


def run(command: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None = None) -> int:
    """The exit status of a command; a mistake of the user is one sentence and status 2, an interruption 130."""
    quiet()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return command(arguments)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
