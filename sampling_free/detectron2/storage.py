"""detectron2's event storage: written to where there is one, not missed where there is none."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from detectron2.utils.events import EventStorage, get_event_storage, has_event_storage
from torch import Tensor


def some_storage() -> AbstractContextManager[Any]:
    """A context in which detectron2's own code can log: the storage in use, or else one that is thrown away."""
    return nullcontext() if has_event_storage() else EventStorage()


def log_scaling(last: Mapping[str, Tensor], head: str = "") -> None:
    """Log what a scale saw in its last call, its `.last`: `raw/<loss name>` as it is, the rest as `<head>/<name>`.

    Scaled losses say nothing by themselves: under guided scaling classification equals localisation.
    """
    if not has_event_storage():
        return
    prefix = f"{head}/" if head else ""
    named = {key if key.startswith("raw/") else prefix + key: value for key, value in last.items()}
    names = [name if value.dim() == 0 else f"{name}_{i}" for name, value in named.items() for i in range(value.numel())]
    # one transfer from the device, not one for each figure
    figures = _on_host(list(named.values()))
    for name, figure in zip(names, figures, strict=True):
        get_event_storage().put_scalar(name, figure)


def _on_host(values: list[Tensor]) -> list[float]:
    return torch.cat([value.detach().float().flatten() for value in values]).tolist()
