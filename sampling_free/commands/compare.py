r"""Train several configs one after the other and set them side by side: table, curves, detections.

    sampling-free compare --output output/demo \
        "Focal Loss=configs/torchvision/retinanet.py:shapes_baseline" \
        "Sampling-Free=configs/torchvision/retinanet.py:shapes" -- train.max_iter=400

A row is NAME=CONFIG, or NAME=CONFIG,key=value,... with overrides of its own; overrides after `--` apply to all. Each
row is a run of the training command in a process of its own, so its peak memory is its own, and a run that diverges is
a result like any other. Reads nothing but what a run folder holds, so rows of both hosts can stand in one table.
"""

import argparse
import logging
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sampling_free import config
from sampling_free.commands import command_line, table
from sampling_free.commands.differences import differences
from sampling_free.errors import UserError
from sampling_free.pictures import read_json

logger = logging.getLogger(__name__)

_TRAIN = (sys.executable, "-m", "sampling_free.commands.train")  # a process of its own
_DIVERGED, _INTERRUPTED = 3, 130  # its exit statuses
_MARKS = ("<!-- table -->", "<!-- /table -->")
# what a comparison reads of a run: nothing of a former run may stand in for what this one did not write
_READ = ("result.json", "metrics.csv", "examples.json", "precision_recall.json", "findings.npz")


@dataclass(frozen=True)
class Row:
    """One line of the comparison.

    Attributes:
        name: as it stands in the table.
        config: path of the config file.
        overrides: `key=value`, of this row alone.
    """

    name: str
    config: str
    overrides: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Row":
        """From NAME=CONFIG[,key=value,...]; a comma within a value, as in key=[1,2], separates nothing.

        Raises:
            UserError: it is not of that form.
        """
        name, separator, rest = text.partition("=")
        config_file, *overrides = re.split(r",(?=\+{0,2}[A-Za-z_][\w.]*=)", rest)
        row = cls(name.strip(), config_file, tuple(overrides))
        if not (separator and config_file and row.slug):
            raise UserError(f"row {text!r} is not NAME=CONFIG[,key=value,...]")
        return row

    @property
    def slug(self) -> str:
        """The name as a folder's."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Run:
    """A row with a seed.

    Attributes:
        name: of the row.
        config: path of the config file.
        folder: of its output.
        overrides: all of them.
    """

    name: str
    config: str
    folder: Path
    overrides: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether it trained to its end, or diverged."""
        return (self.folder / "result.json").is_file()

    def same_config(self) -> bool:
        """Whether the run that lies in the folder had this very config, with all overrides."""
        with tempfile.TemporaryDirectory() as place:
            resolved = Path(place) / "config.yaml"
            config.save(config.load(self.config, self.overrides), resolved)
            there = self.folder / "config.yaml"
            return there.is_file() and there.read_text() == resolved.read_text()

    def train(self, *, resume: bool = False) -> None:
        """Runs the training command, its progress bar on this terminal.

        Args:
            resume: go on from the last checkpoint, instead of from the beginning.

        Raises:
            UserError: it failed otherwise than by diverging; its own message stands above.
        """
        if not resume:
            for file in [*_READ, *(path.name for path in self.folder.glob("coco_results_*.json"))]:
                (self.folder / file).unlink(missing_ok=True)
        command = [*_TRAIN, "--config-file", self.config, *(["--resume"] if resume else [])]
        status = subprocess.run([*command, *self.overrides], check=False, stdout=subprocess.DEVNULL).returncode
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        if status not in (0, _DIVERGED):
            raise UserError(f"row {self.name!r} failed (exit status {status}); its message stands above")


def compare(
    rows: Sequence[Row],
    output: Path,
    *,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    reuse: bool = False,
) -> tuple[str, list[Path]]:
    """Train every row with every seed, and write table.md, table.csv and pictures into `output`.

    Args:
        rows: what to compare.
        output: folder; each run has a folder of its own in it.
        overrides: of every run.
        seeds: of each row; with several, figures are means and standard deviations over them.
        reuse: keep finished runs of the same config, and go on with interrupted ones, instead of training anew.

    Returns:
        The table in Markdown, and the pictures.

    Raises:
        UserError: two rows have one name, a config or override is wrong (said before anything trains), or a run
            failed otherwise than by diverging.
    """
    if len({row.slug for row in rows}) < len(rows):
        raise UserError(f"names of rows must differ in letters or digits: {', '.join(row.name for row in rows)}")
    # a seed of all rows before the next: when time runs out, what is there can be compared
    runs = [_run(row, seed, output, overrides, several=len(seeds) > 1) for seed in seeds for row in rows]
    for run in runs[: len(rows)]:
        config.load(run.config, run.overrides, required=("model", "engine", "train"))
    for number, run in enumerate(runs, start=1):
        logger.info("[%d/%d] %s: %s", number, len(runs), run.name, run.folder)
        kept = reuse and run.same_config()
        if not (kept and run.finished):
            run.train(resume=kept)
    folders = {row.name: [run.folder for run in runs if run.name == row.name] for row in rows}
    results = {name: [read_json(folder / "result.json") for folder in of_row] for name, of_row in folders.items()}
    text = table.markdown(results) + differences(folders, results)
    (output / "table.md").write_text(text, encoding="utf-8")
    table.write_csv(output / "table.csv", results)
    from sampling_free.pictures import save_comparison  # loads what draws

    return text, save_comparison(output, {name: of_row[0] for name, of_row in folders.items()})


def _run(row: Row, seed: int, output: Path, overrides: Sequence[str], *, several: bool) -> Run:
    folder = output / (f"{row.slug}-seed{seed}" if several else row.slug)
    own = (f"train.output_dir={folder}", f"train.seed={seed}")
    return Run(row.name, row.config, folder, (*overrides, *row.overrides, *own))


def publish(document: Path, text: str, command: str, pictures: Iterable[Path] = ()) -> None:
    """Put a table and the command that made it between the marks of a document, and pictures beside the document.

    Raises:
        UserError: the document has no such marks, or is not there.
    """
    begin, end = _MARKS
    content = _text_between_marks(document)
    before, after = content.split(begin, 1)[0], content.split(end, 1)[1]
    block = f"{begin}\n\n```bash\n{command}\n```\n\n{text}\n{end}"
    document.write_text(before + block + after, encoding="utf-8")
    for picture in pictures:
        shutil.copyfile(picture, document.parent / picture.name)


def _text_between_marks(document: Path) -> str:
    begin, end = _MARKS
    content = document.read_text(encoding="utf-8") if document.is_file() else ""
    if not 0 <= content.find(begin) < content.find(end):
        raise UserError(f"{document} has no {begin} ... {end} to put the table between")
    return content


def shell_command(arguments: Sequence[str]) -> str:
    """The command line that these arguments came from, a row a line."""
    text, shared = "sampling-free compare", False
    for word in arguments:
        shared = shared or word == "--"
        is_row = "=" in word and not shared and not word.startswith("-")
        if word != "--reuse":
            text += (" \\\n    " if is_row or word == "--" else " ") + shlex.quote(word)
    return text


def parse_seeds(text: str) -> list[int]:
    """Whole numbers with commas between, each once."""
    try:
        seeds = [int(seed) for seed in text.split(",")]
    except ValueError as error:
        raise UserError(f"--seeds must be whole numbers with commas between, as 0,1,2, not {text!r}") from error
    return list(dict.fromkeys(seeds))


def command(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    split = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        prog=command_line.program(),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rows", nargs="+", metavar="NAME=CONFIG[,key=value...]")
    parser.add_argument("--output", type=Path, required=True, help="folder for runs and comparison")
    parser.add_argument("--seeds", default="0", help="as 0,1,2: mean and standard deviation over them")
    parser.add_argument("--reuse", action="store_true", help="keep finished runs of the same config, resume others")
    parser.add_argument("--publish", type=Path, help="a Markdown file with <!-- table --> marks to put the table in")
    options = parser.parse_intermixed_args(arguments[:split])
    if options.publish:
        _text_between_marks(options.publish)  # before hours of training, not after
    _make(options.output)
    rows, seeds = [Row.parse(text) for text in options.rows], parse_seeds(options.seeds)
    text, pictures = compare(rows, options.output, overrides=arguments[split + 1 :], seeds=seeds, reuse=options.reuse)
    if options.publish:
        publish(options.publish, text, shell_command(arguments), pictures)
    sys.stdout.write(f"\n{text}\n{_what_to_look_at(options.output, pictures)}")
    return 0


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output folder {folder} cannot be made ({error.strerror}); set --output") from error


def _what_to_look_at(output: Path, pictures: Sequence[Path]) -> str:
    names = ", ".join(map(str, pictures))
    return f"Look at {names}; the table is in {output}/table.md and table.csv.\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command, its mistakes said in one sentence."""
    return command_line.run(command, arguments)


if __name__ == "__main__":
    sys.exit(main())
