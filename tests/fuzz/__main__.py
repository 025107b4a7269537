"""Read damaged files, in 2 GB: `python -m tests.fuzz N [KIND ...]`; a case fails alone with `--only NUMBER`."""

import argparse
import logging
import random
import resource
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType

from sampling_free.errors import UserError
from tests.fuzz import coco, pictures, voc

KINDS = {"coco": coco, "voc": voc, "pictures": pictures}
MEMORY = 2 * 2**30  # bytes beyond those of the libraries
SECONDS = 20  # of a case
LONGEST = 10_000  # characters of a message


def limit_memory() -> None:
    """No more than 2 GB of data beside what is loaded."""
    used = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    limit = 1024 * int(used.split()[1]) + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def run(kind: str, numbers: range, seed: int) -> Counter[str]:
    """How many files were read and how many refused.

    Raises:
        BaseException: anything that is no sentence; it names the case.
    """
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        KINDS[kind].prepare(Path(folder))
        for number in numbers:
            signal.alarm(SECONDS)
            try:
                KINDS[kind].run(Path(folder), random.Random(f"{kind} {seed} {number}"))
                outcomes["read"] += 1
            except UserError as error:
                assert str(error).replace("\n", "").isprintable() and len(str(error)) < LONGEST, repr(str(error))
                outcomes["refused"] += 1
            except BaseException:
                sys.stderr.write(f"{kind}: case {number} of seed {seed} failed\n")
                raise
            finally:
                signal.alarm(0)
    return outcomes


def too_long(number: int, frame: FrameType | None) -> None:
    """A case that hangs."""
    raise TimeoutError(f"more than {SECONDS} s")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=int, help="of each kind")
    parser.add_argument("kinds", nargs="*", default=[*KINDS], metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one case")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGALRM, too_long)
    limit_memory()
    for kind in options.kinds:
        numbers = range(options.cases) if options.only is None else range(options.only, options.only + 1)
        outcomes = run(kind, numbers, options.seed)
        sys.stdout.write(f"{kind}: {outcomes['read']} read, {outcomes['refused']} refused\n")


if __name__ == "__main__":
    main()
