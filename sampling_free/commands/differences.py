"""How far each row of a comparison is from its detector's first row, with an interval, in sentences below the table."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sampling_free.commands.study_table import paired_half_width
from sampling_free.pictures.styles import detector_of

_MOST_SEEDS = 10  # that the table of Student's t has


def differences(folders: Mapping[str, Sequence[Path]], results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A line for each row that follows another one of its detector; empty without any.

    With several seeds the interval is over seeds, paired; with one seed it is over images: a paired bootstrap.

    Args:
        folders: per row, named `METHOD` or `DETECTOR, METHOD`, the folder of each seed's run.
        results: per row the `result.json` of each of them.
    """
    firsts: dict[str, str] = {}
    lines = []
    for name in folders:
        first = firsts.setdefault(detector_of(name), name)
        if first == name or any(run["diverged"] for row in (first, name) for run in results[row]):
            continue
        pairs = [[run["metrics"].get("bbox/AP") for run in results[row]] for row in (first, name)]
        if None not in pairs[0] + pairs[1]:
            found = _over_seeds(*pairs) if len(pairs[0]) > 1 else _over_images(folders[first][0], folders[name][0])
            lines += [f"{name} minus {first}: {found}\n"] if found else []
    return "\n" + "\n".join(lines) if lines else ""


def _over_seeds(theirs: Sequence[float], ours: Sequence[float]) -> str:
    each = [our - their for our, their in zip(ours, theirs, strict=True)]
    mean = statistics.fmean(each)
    if len(each) > _MOST_SEEDS:
        return f"{mean:+.1f} AP."
    half = paired_half_width(each)
    return f"{mean:+.1f} AP; 95 % interval {mean - half:+.1f} to {mean + half:+.1f} over {len(each)} seeds, paired."


def _over_images(theirs: Path, ours: Path) -> str | None:
    """None where a run left no findings, as one that COCO's evaluator did not evaluate."""
    from sampling_free.analysis import Findings, paired_interval  # loads what draws

    files = [folder / "findings.npz" for folder in (theirs, ours)]
    if not all(file.is_file() for file in files):
        return None
    pair = [Findings.load(file) for file in files]
    if pair[0].images != pair[1].images or pair[0].categories != pair[1].categories:
        return None  # of different data, as rows of both hosts may be
    mean, low, high = paired_interval(*pair)
    return (
        f"{mean:+.1f} AP; 95 % interval {low:+.1f} to {high:+.1f} over {len(pair[0].images)} images, by a paired "
        f"bootstrap. Another seed may differ by more."
    )
