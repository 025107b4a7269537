"""The table of a study: mean and deviation over seeds, every seed, and the difference to the detector's own form."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sampling_free.errors import UserError
from sampling_free.pictures.styles import detector_of

Result = Mapping[str, Any]

# 97.5 % quantiles of Student's t for 1 to 9 degrees of freedom
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
_MARKS = ("<!-- table -->", "<!-- /table -->")


def markdown(rows: Mapping[str, Sequence[Result]]) -> str:
    """The table in Markdown.

    The difference of a row to the first row of its detector is paired by seed; its interval is the 95 % interval of a
    mean of paired differences, by Student's t.

    A study with background images has a column of false alarms, a background image's average over seeds; a dash stands
    where a run does not find 80 % of the boxes at any score.

    Args:
        rows: per name `DETECTOR, METHOD` the results of its full runs.
    """
    alarms = any("bbox/false-alarms" in result["metrics"] for results in rows.values() for result in results)
    lines = [
        "| | rate | AP, mean ± deviation | each seed | difference, 95 % interval | s/iteration | MB |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    if alarms:
        lines = [f"{lines[0]} false alarms at 80 % recall |", f"{lines[1]}---:|"]
    firsts: dict[str, Sequence[Result]] = {}
    for name, results in rows.items():
        first = firsts.setdefault(detector_of(name), results)
        lines.append(_line(name, results, first) + (f" {_false_alarms(results)} |" if alarms else ""))
    return "\n".join(lines) + "\n"


def rates(
    grid: Sequence[float], rows: Mapping[str, Sequence[Result | None]], chosen: Mapping[str, float | None]
) -> str:
    """AP of the short runs on the held-out training images, in Markdown, the chosen rate's in bold.

    Args:
        grid: of learning rates.
        rows: per row a result for each rate; None where a run has not ended. A row without any is left out.
        chosen: per row its rate, None as long as a run is missing.
    """
    lines = ["| rate | " + " | ".join(f"{rate:g}" for rate in grid) + " |", "|---|" + "---:|" * len(grid)]
    for name, results in rows.items():
        if any(results):
            cells = [_short(result, is_chosen=rate == chosen[name]) for result, rate in zip(results, grid, strict=True)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _short(result: Result | None, *, is_chosen: bool) -> str:
    if result is None:
        return ""
    text = "diverged" if result["diverged"] else f"{result['metrics']['bbox/AP']:.1f}"
    return f"**{text}**" if is_chosen else text


def _line(name: str, results: Sequence[Result], first: Sequence[Result]) -> str:
    if not results:
        return f"| {name} | | not run | | | | |"
    scores = _scores(results)
    diverged = sum(bool(result["diverged"]) for result in results)
    each = ", ".join([f"{score:.1f}" for score in scores.values()] + ["diverged"] * diverged)
    mean = f"{statistics.fmean(scores.values()):.1f}" if scores else "diverged"
    if len(scores) > 1:
        mean += f" ± {statistics.stdev(scores.values()):.1f}"
    seconds = statistics.median(result["seconds_per_iteration"] or 0 for result in results)
    memory = max(result["peak_memory_mb"] for result in results)
    difference = "" if results is first else _difference(scores, _scores(first))
    return f"| {name} | {results[0]['rate']:g} | {mean} | {each} | {difference} | {seconds:.3f} | {memory:.0f} |"


def _false_alarms(results: Sequence[Result]) -> str:
    """Mean and deviation over the seeds."""
    values = [result["metrics"].get("bbox/false-alarms") for result in results if not result["diverged"]]
    if not values or None in values:
        return "–" if values else ""
    return f"{statistics.fmean(values):.2f}" + (f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else "")


def _scores(results: Sequence[Result]) -> dict[int, float]:
    """AP by seed, of the runs that did not diverge."""
    return {result["seed"]: result["metrics"]["bbox/AP"] for result in results if not result["diverged"]}


def _difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> str:
    """Mean of the paired differences, with its interval where there are several seeds."""
    differences = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    if not differences:
        return ""
    mean = statistics.fmean(differences)
    if len(differences) == 1:
        return f"{mean:+.1f}"
    half = paired_half_width(differences)
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


def paired_half_width(differences: Sequence[float]) -> float:
    """Half the 95 % interval of the mean of 2 to 10 paired differences."""
    return _T[len(differences) - 2] * statistics.stdev(differences) / math.sqrt(len(differences))


def publish(document: Path, text: str) -> None:
    """Put a table between the marks of a document.

    Raises:
        UserError: the document is not there or has no such marks.
    """
    begin, end = _MARKS
    content = document.read_text(encoding="utf-8") if document.is_file() else ""
    if not 0 <= content.find(begin) < content.find(end):
        raise UserError(f"{document} has no {begin} ... {end} to put the table between")
    before, after = content.split(begin, 1)[0], content.split(end, 1)[1]
    document.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")
