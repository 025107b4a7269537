"""The output folder of a run: its config, figures, results, checkpoints, events and pictures."""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sampling_free.errors import UserError

logger = logging.getLogger(__name__)


def writable(folder: str | Path) -> Path:
    """The folder, made where it is missing.

    Raises:
        UserError: it cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"output folder {folder} cannot be written ({error.strerror}); set train.output_dir") from error
    return folder


def set_aside(folder: Path) -> None:
    """Clear a used folder for a new run; its checkpoints are kept, in case --resume was forgotten."""
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)
    (folder / "result.json").unlink(missing_ok=True)
    used, aside = folder / "checkpoints", folder / "checkpoints.previous"
    if used.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
        used.rename(aside)
        logger.info("%s holds a former run; its checkpoints are now in %s", folder, aside)


def save_whole(content: Any, path: str | Path) -> None:
    """`torch.save` beside the old file, then a rename: a process killed while writing leaves the old one whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    torch.save(content, partial)
    os.replace(partial, path)


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
