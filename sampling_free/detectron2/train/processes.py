"""Several processes for one run: started here by detectron2's `launch`, or from outside by `torchrun`.

What a process has to say goes through a file: the sentence of its mistake reaches whoever started it, not a traceback.
"""

import logging
import os
import pickle
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from detectron2.engine import launch as start_processes
from detectron2.utils import comm

from sampling_free.errors import DivergedError, UserError
from sampling_free.runs.faults import PEER_GONE
from sampling_free.runs.launch import Launch, quiet_libraries

_INTERRUPTED = 130


def run_in_processes(work: Callable[..., Any], launch: Launch, *arguments: Any) -> Any:
    """What `work(*arguments)` returns in the first process, after it ran in all.

    Args:
        work: a function of a module; so that it can be sent to another process, like its arguments.
        launch: processes and machines; under torchrun its processes count instead.

    Raises:
        UserError: one of them met a mistake of the user, or ended early.
        DivergedError: training diverged.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _join_torchrun()
        try:
            return _guarded(work, arguments)
        finally:
            torch.distributed.destroy_process_group()
    if launch.processes == 1:
        return work(*arguments)
    url = "auto" if launch.address is None else launch.dist_url
    with tempfile.TemporaryDirectory() as place:
        try:
            start_processes(
                _report,
                max(1, launch.num_gpus),
                num_machines=launch.num_machines,
                machine_rank=launch.machine_rank,
                dist_url=url,
                args=(Path(place), work, arguments),
            )
        except torch.multiprocessing.ProcessRaisedException:
            _raise_reported(Path(place))
            raise
        except torch.multiprocessing.ProcessExitedException as error:
            _raise_reported(Path(place))
            if error.signal_name is None:
                raise
            raise UserError(PEER_GONE) from error
        return _reported(Path(place) / "0") if (Path(place) / "0").is_file() else {}


def _join_torchrun() -> None:
    """Make detectron2's process groups of the processes that torchrun started."""
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if has_gpu else "gloo")
    comm.create_local_process_group(int(os.environ["LOCAL_WORLD_SIZE"]))


def _report(place: Path, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Runs in a started process: leaves its result, or its error, in a file named by its rank on this machine."""
    rank = comm.get_local_rank()
    quiet_libraries()
    level = logging.INFO if rank == 0 else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    status = 0
    try:
        outcome = _guarded(work, arguments)
    except (UserError, DivergedError) as error:
        outcome, status = error, 1
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    partial = place / f"{rank}.partial"
    partial.write_bytes(pickle.dumps(outcome))
    partial.rename(place / str(rank))
    if status:
        sys.exit(status)
    torch.distributed.destroy_process_group()


def _guarded(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The result of the work; that another process has gone is said in a sentence."""
    try:
        return work(*arguments)
    except RuntimeError as error:
        if isinstance(error, DivergedError) or not re.search("gloo|NCCL|Connection (closed|reset)", str(error)):
            raise
        raise UserError(PEER_GONE) from error


def _reported(file: Path) -> Any:
    return pickle.loads(file.read_bytes())


def _raise_reported(place: Path) -> None:
    """Raise what a process had to say; that another one ended early only if no other did."""
    outcomes = [_reported(file) for file in sorted(place.iterdir()) if not file.suffix]
    errors = [outcome for outcome in outcomes if isinstance(outcome, UserError | DivergedError)]
    errors.sort(key=lambda error: str(error) == PEER_GONE)
    if errors:
        raise errors[0]
