"""The output folder of a run: its config, figures, results, checkpoints, events and pictures."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from sampling_free.errors import UserError
from sampling_free.runs.faults import no_space

logger = logging.getLogger(__name__)


# beside config.yaml: what an evaluation leaves in a folder of its own
_OF_EVALUATION = re.compile(
    r"(coco_results_\w+|precision_recall|examples|analysis)\.json|report\.html|findings\.npz|pictures"
)
# of no meaning here, and never touched: logs of a shell or a queue, what file browsers leave
_IGNORED = re.compile(r".+\.(log|out|err)|\.DS_Store|\.gitkeep|\.writable-\d+|.+\.partial")
_CHECKPOINTS = re.compile(r"(last|best|older)\.(ckpt|pth)(\.partial)?")


def open_folder(folder: str | Path) -> Path:
    """The folder, made where it is missing.

    Raises:
        UserError: it is no path, cannot be written, or holds something else than a run.
    """
    if not isinstance(folder, str | Path) or not str(folder).strip():
        raise UserError(f"train.output_dir must be the path of a folder, not {folder!r}; is a variable of it unset?")
    folder = Path(folder).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"output folder {folder} cannot be written ({error.strerror}); set train.output_dir") from error
    if not _is_ours(folder):
        raise UserError(
            f"output folder {folder} is not empty and holds no run (no config.yaml of one); nothing in it was "
            f"changed: set train.output_dir to a new folder"
        )
    return folder


def _is_ours(folder: Path) -> bool:
    """Whether a folder is empty, or holds a run or an evaluation."""
    names = [entry.name for entry in folder.iterdir()]
    strange = [name for name in names if not _IGNORED.fullmatch(name) and not _OF_EVALUATION.fullmatch(name)]
    return not strange or {"engine", "train"} <= settings_of(folder).keys()


def settings_of(folder: Path) -> dict[str, Any]:
    """The config that a run left, as plain values; empty where there is none."""
    try:
        content = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


@contextlib.contextmanager
def in_use(folder: Path, *, first: bool) -> Iterator[None]:
    """Within it no other run may start in the folder; the system frees it when the process dies.

    Args:
        folder: of the run.
        first: whether this process is the first of the run, which holds the folder for all.

    Raises:
        UserError: another run is at work there.
    """
    if not first:
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):  # a file system without locks
            yield
            return
        raise UserError(
            f"another run is at work in {folder}; wait for its end, or set another train.output_dir"
        ) from error
    _HELD.add(held)
    try:
        yield
    finally:
        _HELD.discard(held)
        os.close(held)


# a worker that outlives this process must not hold the folder: its copy is closed where it starts
_HELD: set[int] = set()


def _let_go() -> None:
    for held in _HELD:
        os.close(held)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)


def set_aside(folder: Path) -> None:
    """Clear a used folder for a new run; its checkpoints are kept, in case --resume was forgotten.

    Only files that a run writes are touched.
    """
    for file in (folder / "tensorboard").glob("events.out.tfevents.*"):
        file.unlink()
    (folder / "result.json").unlink(missing_ok=True)
    used, aside = folder / "checkpoints", folder / "checkpoints.previous"
    files = [file for file in used.glob("*") if _CHECKPOINTS.fullmatch(file.name)]
    if files:
        for file in aside.glob("*"):
            if _CHECKPOINTS.fullmatch(file.name):
                file.unlink()
        aside.mkdir(exist_ok=True)
        for file in files:
            file.rename(aside / file.name)
        if not any(used.iterdir()):
            used.rmdir()
        logger.info("%s holds a former run; its checkpoints are now in %s", folder, aside)


def older_of(last: Path) -> Path:
    """Path of the checkpoint before the last one."""
    return last.with_name(f"older{last.suffix}")


def save_whole(content: Any, path: str | Path, *, keep_as: Path | None = None) -> None:
    """`torch.save` beside the old file, then a rename: a process killed while writing leaves the old one whole.

    Args:
        content: to be saved.
        path: of the file; its folder is made, but not the one above, which may have been removed during a run.
        keep_as: where the old file goes; None drops it.

    Raises:
        UserError: there is no space left; the old file is whole.
    """
    path = Path(path)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        _write(content, partial)
        if keep_as is not None and path.is_file():
            _keep(path, keep_as)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _keep(path: Path, keep_as: Path) -> None:
    """A second name for a file, which never lacks its first one."""
    second = keep_as.with_name(keep_as.name + ".partial")
    second.unlink(missing_ok=True)
    try:
        second.hardlink_to(path)
    except OSError:  # a file system without links
        shutil.copyfile(path, second)
    os.replace(second, keep_as)


def _write(content: Any, path: Path) -> None:
    with path.open("wb") as file:
        recorder: Any = _Recorder(file)
        try:
            torch.save(content, recorder)
        except Exception as error:
            # torch says in its own words that it could not write, and not why
            cause = error if isinstance(error, OSError) else recorder.error
            sentence = None if cause is None else no_space(path.with_suffix(""), cause)
            if sentence is None:
                raise
            raise sentence from error


class _Recorder:
    """A file that remembers why it could not be written."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write to the file; an error is kept and raised."""
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Flush the file."""
        self.file.flush()


def write_result(
    folder: Path,
    metrics: Mapping[str, float],
    *,
    iterations: int,
    seconds_per_iteration: float | None,
    peak_memory_mb: float,
    diverged: str | None = None,
) -> None:
    """Write `result.json`: what a comparison of runs reads.

    Args:
        folder: of the run.
        metrics: of the last evaluation.
        iterations: how many the run finished.
        seconds_per_iteration: evaluation not counted; None where nothing was timed.
        peak_memory_mb: of the GPU, or of the process without one.
        diverged: why the run ended early, or None.
    """
    result = {
        "iterations": iterations,
        "diverged": diverged is not None,
        "reason": diverged,
        "seconds_per_iteration": seconds_per_iteration,
        "peak_memory_mb": peak_memory_mb,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "metrics": dict(metrics),
    }
    partial = folder / "result.json.partial"
    partial.write_text(json.dumps(result, indent=1))
    os.replace(partial, folder / "result.json")
