"""List the config files that come with the package.

    sampling-free configs
    sampling-free configs detectron2/faster

`--config-file` takes a name of this list wherever there is no such file.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sampling_free import config, packaged
from sampling_free.commands import command_line
from sampling_free.errors import UserError


def listing(part: str = "") -> Iterator[str]:
    """Name of each config that has a part in its name, `FILE.py:VARIANT` where a file holds several."""
    folder = packaged.folder()
    for file in sorted(folder.rglob("*.py")):
        name = str(file.relative_to(folder))
        if "common" in Path(name).parts or part not in name:
            continue
        try:
            variants = config.variants(file)
        except UserError as error:  # detectron2's files, where that is not installed
            yield f"{name}  ({error})"
            continue
        yield from (f"{name}:{variant}" for variant in variants) if variants else [name]


def command(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = argparse.ArgumentParser(
        prog=command_line.program(), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("part", nargs="?", default="", help="only names with this in them")
    for line in listing(options.parse_args(arguments).part):
        sys.stdout.write(f"{line}\n")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command, its mistakes said in one sentence."""
    return command_line.run(command, arguments)


if __name__ == "__main__":
    sys.exit(main())
