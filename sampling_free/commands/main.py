"""The command line `sampling-free`: finds the command that is named, loads that one alone, and hands it the rest."""

import importlib
import sys
from collections.abc import Sequence

from sampling_free import __version__

# what help says of each; its module is loaded when it is called
COMMANDS = {
    "train": "train on a folder of images and annotations, or what a config file describes",
    "inspect": "what a data set holds, what is wrong with it, and how rare its foreground is",
    "evaluate": "average precision of a trained model",
    "compare": "train several configs, and set them side by side: table, curves, detections",
    "predict": "draw the detections of a trained model on images",
    "plot": "curves of one run or several",
    "study": "train rows at their own best rate, with several seeds",
    "configs": "list the config files that come with the package",
}

_HELP = f"""usage: sampling-free COMMAND ...

Train object detectors on every example, without a sampling heuristic.

{"".join(f"  {name:10s}{what}{chr(10)}" for name, what in COMMANDS.items())}
sampling-free COMMAND --help says more; sampling-free --version says which version this is.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status."""
    name, *rest = [*(sys.argv[1:] if argv is None else argv), ""]
    arguments = rest[:-1]
    if name in ("", "-h", "--help"):
        sys.stdout.write(_HELP)
        return 0 if name else 2
    if name == "--version":
        sys.stdout.write(f"sampling-free {__version__}\n")
        return 0
    if name not in COMMANDS:
        sys.stderr.write(f"error: there is no command {name!r}; the commands are {', '.join(COMMANDS)}\n")
        return 2
    module, arguments = _module_of(name, arguments)
    sys.argv[0] = f"sampling-free {name}"  # argparse's name of the program
    return importlib.import_module(f"sampling_free.commands.{module}").main(arguments)


def _module_of(name: str, arguments: list[str]) -> tuple[str, list[str]]:
    """Which module runs a command, and with what: training from a config and evaluation are one command line."""
    if name == "evaluate":
        return "train", ["--eval-only", *arguments]
    from_config = any(argument.partition("=")[0] == "--config-file" for argument in arguments)
    return (name if name != "train" or from_config else "train_folder"), arguments
