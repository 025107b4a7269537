r"""Train the rows of a study, each at its own best learning rate and with several seeds, and set them side by side.

    sampling-free study projects/photographs/study.py --output results --processes 2

A study is a Python file with the variable `study`:

    study = dict(
        rates=[0.01, 0.02, 0.04],         # one and the same grid for every row; a single rate is not tuned
        tune=["train.max_iter=424"],      # the short runs that choose a row's rate
        holdout=0.2,                      # the share of the training images that these runs are evaluated on
        seeds=3,                          # of the full runs
        rows={"RetinaNet, Focal Loss": dict(config="FILE.py:VARIANT", seeds=5), ...},
    )

The validation images choose nothing. Rows come in the order of their importance; rows with a higher `group` come
later. Each finished run leaves a small JSON file in the output folder, and a study that was stopped goes on where it
was. The table is made from these files. The detections of each run stay in its folder in `--work`.
"""

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sampling_free import config, pictures
from sampling_free.commands import command_line, study_table
from sampling_free.data.holdout import split_images
from sampling_free.errors import UserError
from sampling_free.lazy import run_file

logger = logging.getLogger(__name__)

_TRAIN = (sys.executable, "-m", "sampling_free.commands.train")
_DIVERGED = 3  # exit status of a training run


@dataclass(frozen=True)
class Row:
    """One line of a study.

    Attributes:
        name: `DETECTOR, METHOD`.
        config: a config file, or a variant of one.
        overrides: `key=value`, of this row alone.
        seeds: how many full runs it has.
    """

    name: str
    config: str
    overrides: tuple[str, ...]
    seeds: int

    @property
    def slug(self) -> str:
        """The name as a file's."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        row: whose.
        kind: "tune" or "seed".
        number: of the rate in the grid, or of the seed.
    """

    row: Row
    kind: str
    number: int

    @property
    def name(self) -> str:
        """The name of the run's files, without an ending."""
        return f"{self.row.slug}-{self.kind}{self.number}"


class Study:
    """The rows of a study file and what has been found so far.

    Args:
        path: of the study file.
        output: folder of the results.

    Raises:
        UserError: the file has no study, or a study without rows or rates.
    """

    def __init__(self, path: Path, output: Path) -> None:
        if not path.is_file():
            raise UserError(f"study {path} does not exist")
        settings = run_file(path).get("study")
        if settings is None or not settings.get("rows") or not settings.get("rates"):
            raise UserError(f"study {path} must define `study` with `rows` and `rates`")
        self.settings: dict[str, Any] = config.plain(settings)
        self.output = output
        self.rates: list[float] = self.settings["rates"]
        seeds = self.settings.get("seeds", 3)
        self.rows = [
            Row(name, row["config"], tuple(row.get("overrides", ())), row.get("seeds", seeds))
            for name, row in self.settings["rows"].items()
        ]

    def jobs(self) -> Iterator[Job]:
        """All runs, the most important ones first: rates of a row, then a seed of every row of its group."""
        groups: dict[int, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(self.settings["rows"][row.name].get("group", 0), []).append(row)
        for _, rows in sorted(groups.items()):
            for row in rows:
                yield from self.short_runs(row)
            for seed in range(max(row.seeds for row in rows)):
                yield from (Job(row, "seed", seed) for row in rows if seed < row.seeds)

    def short_runs(self, row: Row) -> list[Job]:
        """Those that choose a row's rate, in the grid's order; none where there is nothing to choose."""
        return [Job(row, "tune", number) for number in range(len(self.rates))] if len(self.rates) > 1 else []

    def result(self, job: Job) -> dict[str, Any] | None:
        """The results of a run, or None if the run has not ended."""
        path = self.output / f"{job.name}.json"
        return pictures.read_json(path) if path.is_file() else None

    def rate(self, row: Row) -> float | None:
        """The rate with the highest AP on the held-out images; None before all its short runs have ended."""
        found = [self.result(job) for job in self.short_runs(row)]
        if any(result is None for result in found):
            return None
        scores = [-1.0 if result["diverged"] else result["metrics"]["bbox/AP"] for result in found if result]
        return self.rates[scores.index(max(scores))] if scores else self.rates[0]

    def ready(self, job: Job) -> bool:
        """Whether a run can start."""
        return job.kind == "tune" or self.rate(job.row) is not None

    def overrides(self, job: Job, work: Path) -> list[str]:
        """Of the config, for one run."""
        common = [*self.settings.get("overrides", ()), *job.row.overrides, f"train.output_dir={work / job.name}"]
        if job.kind == "seed":
            return [*common, f"train.seed={job.number}", f"optimizer.lr={self.rate(job.row)}"]
        data = self._held_out(job.row)
        return [*common, *data, *self.settings.get("tune", ()), f"optimizer.lr={self.rates[job.number]}"]

    def _held_out(self, row: Row) -> list[str]:
        """Overrides that train on one part of the training images and evaluate on the other."""
        cfg = config.load(row.config, [*self.settings.get("overrides", ()), *row.overrides])
        train = cfg.dataloader.train.dataset
        share = float(self.settings.get("holdout", 0.2))
        fit, held = split_images(Path(train.root) / train.annotations, self.output / "split", share=share)
        return [
            f"dataloader.train.dataset.annotations={fit.resolve()}",
            f"dataloader.test.dataset.annotations={held.resolve()}",
            f"dataloader.test.dataset.images={train.images}",
        ]


def run(study: Study, work: Path, *, processes: int, deadline: float | None = None) -> None:
    """Train what has not been trained, several runs at a time.

    Args:
        study: what to train.
        work: folder of the runs themselves; only their JSON files are kept.
        processes: runs at a time.
        deadline: seconds from now after which no run goes on; those that have not ended are lost.
    """
    end = time.monotonic() + deadline if deadline is not None else float("inf")
    waiting = [job for job in study.jobs() if study.result(job) is None]
    running: dict[Job, subprocess.Popen] = {}
    bar = tqdm(total=len(waiting), desc="runs", smoothing=0)
    try:
        while (waiting or running) and time.monotonic() < end:
            for job in [job for job in waiting if study.ready(job)][: processes - len(running)]:
                waiting.remove(job)
                running[job] = _start(study, job, work)
            for job in [job for job, process in running.items() if process.poll() is not None]:
                _keep(study, job, work, running.pop(job).returncode)
                bar.update()
                bar.set_postfix_str(job.name)
            time.sleep(0.2)
    finally:
        for process in running.values():
            process.terminate()
        bar.close()


def _start(study: Study, job: Job, work: Path) -> subprocess.Popen:
    work.mkdir(parents=True, exist_ok=True)
    command = [*_TRAIN, "--config-file", job.row.config, *study.overrides(job, work)]
    with (work / f"{job.name}.log").open("w") as log:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)


def _keep(study: Study, job: Job, work: Path, status: int) -> None:
    """The JSON file of a run that has ended.

    Raises:
        UserError: it ended otherwise than by finishing or diverging.
    """
    if status not in (0, _DIVERGED):
        log = (work / f"{job.name}.log").read_text(errors="replace").replace("\r", "\n").strip()
        raise UserError(f"run {job.name} failed: {log.rpartition('error: ')[2] if 'error: ' in log else log[-1500:]}")
    rate = study.rates[job.number] if job.kind == "tune" else study.rate(job.row)
    result = {
        "row": job.row.name,
        "kind": job.kind,
        "seed": job.number if job.kind == "seed" else 0,
        "rate": rate,
        "config": job.row.config,
        "overrides": _portable(study.overrides(job, work), study.output),
        "versions": _versions(),
        **pictures.read_json(work / job.name / "result.json"),
    }
    study.output.mkdir(parents=True, exist_ok=True)
    path = study.output / f"{job.name}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _portable(overrides: list[str], output: Path) -> list[str]:
    """Overrides of a run, without the places of this machine."""
    return [
        text.replace(f"{output.resolve()}{os.sep}", "")
        for text in overrides
        if not text.startswith("train.output_dir=")
    ]


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "torchvision", "lightning")}


def command(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog=command_line.program(),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", type=Path, help="a study file")
    parser.add_argument("--output", type=Path, required=True, help="folder of the results")
    parser.add_argument("--work", type=Path, default=Path("output/study"), help="folder of the runs themselves")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    parser.add_argument("--deadline", type=float, metavar="SECONDS", help="stop then; finished runs are kept")
    parser.add_argument("--table", action="store_true", help="train nothing, only write the table")
    parser.add_argument("--rates", action="store_true", help="train nothing, only write what the short runs found")
    parser.add_argument("--publish", type=Path, help="a Markdown file with <!-- table --> marks to put the table in")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="draw curves and detections of each row's first seed"
    )
    options = parser.parse_args(arguments)
    study = Study(options.study, options.output)
    if not options.table and not options.rates:
        run(study, options.work, processes=options.processes, deadline=options.deadline)
    text = _rates(study) if options.rates else study_table.markdown(_results(study))
    if options.publish:
        study_table.publish(options.publish, text)
    sys.stdout.write(f"\n{text}\n")
    if options.pictures:
        folders = {row.name: options.work / Job(row, "seed", 0).name for row in study.rows}
        there = {name: folder for name, folder in folders.items() if (folder / "result.json").is_file()}
        if not there:
            raise UserError(f"{options.work} has no run to draw; --work names the folder of the runs themselves")
        for picture in pictures.save_comparison(options.pictures, there):
            sys.stdout.write(f"{picture}\n")
    return 0


def _rates(study: Study) -> str:
    """The table of the short runs."""
    rows = {row.name: [study.result(job) for job in study.short_runs(row)] for row in study.rows}
    return study_table.rates(study.rates, rows, {row.name: study.rate(row) for row in study.rows})


def _results(study: Study) -> Mapping[str, list[dict[str, Any]]]:
    """Per row what its full runs found."""
    found = {row.name: [study.result(Job(row, "seed", seed)) for seed in range(row.seeds)] for row in study.rows}
    return {name: [result for result in results if result] for name, results in found.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command, its mistakes said in one sentence."""
    return command_line.run(command, arguments)


if __name__ == "__main__":
    sys.exit(main())
