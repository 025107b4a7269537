"""Time and memory of losses and training steps, beside what they replace.

    make bench        # or: python -m tools.bench [--quick] [--write docs/benchmarks.md]

All in one run, contestants taking turns; figures are medians with their quartiles, and what counts is their ratios.
detectron2's part runs where detectron2 is installed.
"""

import argparse
import importlib.util
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from tools.bench import assignment, cuda, losses, samplers, torchvision_steps
from tools.bench.measuring import DEVICE, Goal, Race, goals_table


def run(*, quick: bool = False) -> str:
    """Measure everything; returns the report in Markdown."""
    tables, goals = [f"torch {torch.__version__}, {_where()}\n\n"], []
    if DEVICE == "cuda":
        table, goals = cuda.loss_report()
        tables += [table, cuda.growth_report()]
    for measured, aims in _measurements(quick=quick):
        tables += [race.table() for race in measured]
        if DEVICE == "cuda":
            tables += [_waits(race) for race in measured if race.title.startswith("Training step")]
        goals += aims
    return "".join(tables) + goals_table(goals)


def _measurements(*, quick: bool) -> "list[tuple[list[Race], list[Goal]]]":
    """Races that were run, and what they say of the goals; one part's models are gone before the next's are built."""
    loss, objectness = [race.run() for race in losses.races(quick=quick)]
    parts = [([loss, objectness], losses.goals(loss)), ([race.run() for race in samplers.races(quick=quick)], [])]
    assigned = [race.run() for race in assignment.races(quick=quick)]
    parts.append((assigned, assignment.goals(*assigned)))
    hosts = [torchvision_steps]
    if importlib.util.find_spec("detectron2"):
        from tools.bench import detectron2_steps

        hosts.append(detectron2_steps)
    for host in hosts:
        steps = [race.run() for race in host.races(quick=quick)]
        parts.append((steps, host.goals(*steps)))
    return parts


def _waits(race: Race) -> str:
    counts = [f"{contestant.name}: {cuda.waits(contestant.call)}" for contestant in race.contestants]
    return f"Waits for the device in a step: {', '.join(counts)}.\n\n"


def _where() -> str:
    if DEVICE == "cuda":
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} threads of {platform.machine()}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, to see it run")
    parser.add_argument(
        "--write", type=Path, help="Markdown file to write the report to; on a GPU its name ends in _cuda"
    )
    options = parser.parse_args(argv)
    report = run(quick=options.quick)
    if options.write:
        command = "make bench" if not options.quick else "python -m tools.bench --quick"
        file = options.write if DEVICE == "cpu" else options.write.with_stem(f"{options.write.stem}_{DEVICE}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# Benchmarks\n\nWritten by `{command}`; goals are the project's own.\n\n{report}")
    sys.stdout.write(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
