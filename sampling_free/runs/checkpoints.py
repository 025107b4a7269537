"""Reading a checkpoint file as data: nothing in it is run, and what is wrong with it is said in a sentence."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sampling_free.data.categories import difference
from sampling_free.errors import UserError


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a file that `torch.save` wrote, on the CPU.

    Raises:
        UserError: no such file, an empty or damaged one, one that holds code, or one that is no checkpoint.
    """
    path = str(path)
    if "://" in path:
        raise UserError(f"weights {path} are not a file; download them, and give the path of the file")
    file = Path(path)
    if not file.is_file():
        raise UserError(f"there are no weights at {path}; check the path")
    if not file.stat().st_size:
        raise UserError(f"{path} is no checkpoint: it is empty")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is no checkpoint that can be read safely: it holds more than weights, or is damaged; "
            f"save its state dict alone where you trust it"
        ) from error
    except Exception as error:
        what = "it is damaged or cut off" if zipfile.is_zipfile(file) else "it is damaged, or another kind of file"
        raise UserError(f"{path} is no checkpoint that can be read: {what}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    return content


def label_names_of(path: str | Path) -> dict[int, str]:
    """Name of each label of the model in a run's checkpoint; empty for weights that do not say them."""
    if not Path(path).is_file() or Path(path).suffix not in (".ckpt", ".pth"):
        return {}
    names = read_checkpoint(path).get("label_names")
    whole = isinstance(names, dict) and all(isinstance(k, int) and isinstance(v, str) for k, v in names.items())
    return names if isinstance(names, dict) and whole else {}


def refuse_renamed(path: str | Path, label_names: Mapping[int, str]) -> None:
    """Refuse to go on from a checkpoint with training data whose classes are others.

    Raises:
        UserError: a label has two names.
    """
    former = label_names_of(path)
    found = difference(former, label_names) if former and label_names else ""
    if found:
        raise UserError(f"{path} is of a run with other classes: {found}; train in another train.output_dir")
