"""The text that config files of both hosts share."""

import re

from sampling_free.own_data.choices import DETECTORS, Choices

OURS, OWN = "Sampling-Free", "own form"

SCHEDULE = """
_epochs = {epochs}
_epoch = {epoch}  # iterations
_max_iter = _epochs * _epoch
_warmup = min({warmup}, _max_iter // 4)
lr_multiplier = L(CompositeParamScheduler)(
    schedulers=[
        L(LinearParamScheduler)(start_value=0.1, end_value=1.0),
        # a tenth of the rate after two thirds, a hundredth for the last twelfth
        L(MultiStepParamScheduler)(
            values=[1.0, 0.1, 0.01], milestones=[_max_iter * 2 // 3, _max_iter * 11 // 12, _max_iter]
        ),
    ],
    lengths=[_warmup / _max_iter, 1 - _warmup / _max_iter],
    interval_scaling=["rescaled", "fixed"],
)
"""

OWN_FILE = '''"""{name} on {data} in its own form, all else as in config.py."""

from .config import _here, dataloader, engine, lr_multiplier, optimizer, train
from .config import _own as model

train.update(output_dir=f"{{_here}}/own", prior=None)
'''

# the proposal network's box loss guides its classification; by the released code's 1/8 a short run would end too early
TWO_STAGE = """    boundary_threshold=-1,  # on small images most large anchors reach over the edge
    normalizer={mapping}(
        rpn=L(PerForeground)(localization_weight=1.0), roi=L(PerForeground)(localization_weight=0.25)
    ),
"""


def schedule(choices: Choices, images: int) -> str:
    """Epochs, iterations and the multiplier of the rate."""
    epoch = -(-images // choices.batch)
    return SCHEDULE.format(epochs=choices.epochs, epoch=epoch, warmup=100)


def heading(choices: Choices, data: str) -> str:
    """The docstring of a config file, with the reasons."""
    lines = "".join(f"    {line.strip()}\n" for line in str(choices).splitlines())
    return (
        f'"""{DETECTORS[choices.detector]} on {data}, sampling-free. Written by `sampling-free train`; change what you '
        f"like.\n\n    sampling-free train --config-file THIS_FILE [train.max_iter=500 ...]\n\n"
        f'What was chosen, and why:\n\n{lines}"""\n'
    )


def assignments(values: dict[str, object]) -> str:
    """Keyword arguments, one a line."""
    return "".join(f"    {name}={value!r},\n" for name, value in values.items())


def with_used_imports(text: str) -> str:
    """A file without the names that it imports and does not use."""
    lines = text.splitlines(keepends=True)
    body = "".join(line for line in lines if not line.startswith(("import ", "from ")))
    kept = []
    for line in lines:
        head, imported, names = line.rstrip("\n").partition(" import ")
        if line.startswith("from ") and imported:
            used = [name for name in names.split(", ") if re.search(rf"\b{name.split(' as ')[-1]}\b", body)]
            line = f"{head} import {', '.join(used)}\n" if used else ""
        kept.append(line)
    return "".join(kept)
