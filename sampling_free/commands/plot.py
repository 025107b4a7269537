"""Draws the curves of one run or several from their output folders.

    sampling-free plot output/a output/b --output output/a-and-b

writes losses.png and precision_recall.png, and gradients.png where the runs logged shares of the gradient
(train.gradient_shares=true). Needs no host: it reads metrics.csv and precision_recall.json.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sampling_free import pictures
from sampling_free.commands import command_line
from sampling_free.errors import UserError


def plot(runs: Sequence[Path], output: Path) -> list[Path]:
    """Writes the pictures and returns their paths.

    Raises:
        UserError: a folder that is not there or holds no run, or an output folder that cannot be written.
    """
    for run in runs:
        if not run.is_dir():
            raise UserError(f"there is no folder {run}; give the output folder of a run (train.output_dir)")
    named = dict(zip(_names(runs), runs, strict=True))
    drawn = [output / "losses.png", output / "precision_recall.png"]
    try:
        pictures.plot_losses(drawn[0], named)
        pictures.plot_precision_recall(drawn[1], named)
        gradients = output / "gradients.png"
        if pictures.plot_gradients(gradients, named):
            drawn.append(gradients)
    except OSError as error:
        raise UserError(f"pictures cannot be written to {output} ({error.strerror}); set --output") from error
    return drawn


def _names(runs: Sequence[Path]) -> list[str]:
    """Each folder's name; the whole path where two have the same."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def command(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = argparse.ArgumentParser(
        prog=command_line.program(),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("runs", nargs="+", type=Path, metavar="FOLDER", help="output folders of runs")
    options.add_argument("--output", type=Path, help="folder of the pictures; default: pictures/ where the runs lie")
    given = options.parse_intermixed_args(arguments)
    runs = list(dict.fromkeys(given.runs))
    output = given.output or Path(os.path.commonpath([run.resolve() for run in runs])) / "pictures"
    for picture in plot(runs, output):
        sys.stdout.write(f"{picture}\n")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command, its mistakes said in one sentence."""
    return command_line.run(command, arguments)


if __name__ == "__main__":
    sys.exit(main())
