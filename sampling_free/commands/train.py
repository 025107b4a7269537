"""Train or evaluate what a LazyConfig file describes, on the host that it names.

    python train_net.py --config-file configs/torchvision/retinanet.py:shapes train.max_iter=200
    python train_net.py --config-file ... --resume
    python train_net.py --config-file ... --eval-only train.init_checkpoint=output/.../checkpoints/best.ckpt
    python train_net.py --config-file ... --print-config

Options are detectron2's, and --print-config. Exit status: 0 done, 2 a mistake that one sentence explains, 3 training
diverged, 130 interrupted, 143 terminated.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, TextIO

from sampling_free import config
from sampling_free.errors import DivergedError, UserError
from sampling_free.runs.launch import Launch, engine_of, quiet_libraries

_KEYS = ("model", "engine", "dataloader", "optimizer", "lr_multiplier", "train")


def parser() -> argparse.ArgumentParser:
    """detectron2's options, and --print-config."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--config-file", required=True, metavar="FILE", help="a LazyConfig file, or FILE:VARIANT")
    options.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the output folder")
    options.add_argument("--eval-only", action="store_true", help="evaluate train.init_checkpoint, or the last one")
    options.add_argument(
        "--print-config", action="store_true", help="show the config with its overrides; train nothing"
    )
    options.add_argument("--num-gpus", type=int, default=1, help="processes on this machine (CPU ones without CUDA)")
    options.add_argument("--num-machines", type=int, default=1, help="machines in all")
    options.add_argument("--machine-rank", type=int, default=0, help="number of this machine, from 0")
    options.add_argument("--dist-url", default="auto", help="tcp://HOST:PORT of machine 0, for several machines")
    options.add_argument("opts", nargs=argparse.REMAINDER, metavar="key=value", help="overrides of the config")
    return options


def run(arguments: argparse.Namespace) -> dict[str, float]:
    """What the command line asks for; returns the metrics."""
    cfg = config.load(arguments.config_file, arguments.opts, required=_KEYS)
    if arguments.print_config:
        sys.stdout.write(config.as_yaml(cfg))
        return {}
    launch = Launch(arguments.num_gpus, arguments.num_machines, arguments.machine_rank, arguments.dist_url)
    engine = engine_of(cfg)
    if arguments.eval_only:
        return engine.evaluate(cfg, launch=launch)
    return engine.train(cfg, resume=arguments.resume, launch=launch)


def main(argv: Sequence[str] | None = None) -> int:
    """Run, and say mistakes in one sentence."""
    level = logging.INFO if is_first() else logging.WARNING
    quiet_libraries()
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    stopped: list[int] = []

    def stop(number: int, frame: Any) -> None:
        stopped.append(number)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's tells of loader workers, which the same signal ends
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
    try:
        metrics = run(parser().parse_args(argv))
    except BaseException as error:
        if stopped or isinstance(error, KeyboardInterrupt):  # a library may answer the signal with an error of its own
            word, status = ("terminated", 143) if stopped else ("interrupted", 130)
            say(sys.stderr, f"{word}; --resume goes on from the last checkpoint\n")
            return status
        return _told(error)
    say(sys.stdout, *(f"{name:24s} {value:6.2f}\n" for name, value in metrics.items()))
    return 0


def _told(error: BaseException) -> int:
    """Say an error that one sentence explains; returns the exit status, and raises any other."""
    if isinstance(error, UserError):
        sys.stderr.write(f"error: {error}\n")
        return 2
    if isinstance(error, DivergedError):
        say(sys.stderr, f"diverged: {error}\n")
        return 3
    raise error


def is_first() -> bool:
    """Whether this is the first process of its machine: it speaks where all know the same."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def say(stream: TextIO, *lines: str) -> None:
    """Write what all processes of a run know, once."""
    if is_first():
        stream.writelines(lines)


if __name__ == "__main__":
    sys.exit(main())
