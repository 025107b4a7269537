"""detectron2's checkpointer: written whole or not at all, read as data, and told apart from another model's."""

import logging
import pickle
from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

from sampling_free.detectron2.checkpoints import PARTS
from sampling_free.detectron2.train.training import check_weights
from sampling_free.errors import UserError
from sampling_free.runs.checkpoints import read_checkpoint
from sampling_free.runs.folder import older_of, save_whole
from sampling_free.runs.optimizer import give_settings, settings_of

logger = logging.getLogger(__name__)

_NAMED = 3  # parameters in a message


class SafeCheckpointer(DetectionCheckpointer):
    """detectron2's checkpointer that reads a file as data, whoever made it: no file can run code."""

    _path = ""  # of what is loaded, for messages

    def _load_file(self, filename: str) -> Any:
        if filename.endswith(".pkl"):
            _refuse_code(filename)
        if filename.endswith(".pyth"):
            content = read_checkpoint(filename)
            content = {"model": content.get("model_state"), "matching_heuristics": True}
        else:
            content = super()._load_file(filename)
        if not isinstance(content.get("model"), dict):
            raise UserError(f"{filename} is no checkpoint: it holds no weights by name")
        return content

    def _torch_load(self, f: str) -> Any:
        return read_checkpoint(f)

    def load(self, path: str, checkpointables: list[str] | None = None) -> Any:
        """detectron2's; the file's name is kept for messages."""
        self._path = path
        return super().load(path, checkpointables)

    def _convert_ndarray_to_tensor(self, state_dict: dict[str, Any]) -> None:
        try:
            super()._convert_ndarray_to_tensor(state_dict)
        except ValueError as error:
            raise UserError(f"{self._path} is no checkpoint: {error}") from error


class RunCheckpointer(SafeCheckpointer):
    """Checkpoints of a run: `last.pth` and `best.pth` in a folder.

    Args:
        model: wrapped or not.
        folder: where they lie.
        checkpointables: as detectron2's, `trainer=` for one.
    """

    def __init__(self, model: nn.Module, folder: str | Path = "", **checkpointables: Any) -> None:
        super().__init__(model, str(folder), **checkpointables)
        self._is_strict = True
        self.label_names: dict[int, str] = {}  # of the training data
        self._saved: Any = None  # iteration of last.pth: it may be written before and after its evaluation

    def save(self, name: str, **kwargs: Any) -> None:
        """Write `<name>.pth`, at once or not at all.

        Raises:
            DivergedError: a weight is not finite; the file of before stays.
        """
        check_weights(self.model, int(kwargs.get("iteration", -1)) + 1)
        if self.save_dir and self.save_to_disk:
            content: dict[str, Any] = {"model": self.model.state_dict(), "label_names": self.label_names}
            content |= {key: value.state_dict() for key, value in self.checkpointables.items()}
            path = Path(self.save_dir) / f"{name}.pth"
            keeps = name == "last" and kwargs.get("iteration") != self._saved
            save_whole(content | kwargs, path, keep_as=older_of(path) if keeps else None)
            self._saved = kwargs.get("iteration") if name == "last" else self._saved

    def has_checkpoint(self) -> bool:
        """Whether a run can go on from here."""
        return Path(self.get_checkpoint_file()).is_file()

    def get_checkpoint_file(self) -> str:
        """Path of the last checkpoint."""
        return str(Path(self.save_dir) / "last.pth")

    def load_weights(self, path: str | Path) -> None:
        """Load all weights of a model from a file, for evaluation.

        Raises:
            UserError: no such file, no checkpoint, or one of another model; it names the first parameters that differ.
        """
        self._require(str(path))
        self.load(str(path), checkpointables=[])

    def start_from(self, path: str) -> None:
        """Load the weights that fit, to start training from: those of a backbone, or of a model with other classes.

        Raises:
            UserError: as `load_weights`; or none fits, or those of the backbone have other shapes.
        """
        self._require(path)
        self._is_strict = False
        try:
            self.load(path, checkpointables=[])
        finally:
            self._is_strict = True

    def resume(self) -> int:
        """Load the last checkpoint with all that training needs; returns how many iterations it has behind it.

        Raises:
            UserError: it is of another model, or without training state.
        """
        path = self.get_checkpoint_file()
        rest = self.load(path, checkpointables=[])
        if "trainer" not in rest:
            raise UserError(f"{path} holds weights but no training state, so a run cannot resume from it")
        trainer = self.checkpointables["trainer"]
        settings = settings_of(trainer.optimizer)
        try:
            trainer.load_state_dict(rest["trainer"])
        except ValueError as error:  # of torch's optimiser
            raise UserError(f"{path}: the optimiser's state is of another model ({error})") from error
        give_settings(trainer.optimizer, settings)
        return int(rest["trainer"]["iteration"]) + 1

    def _require(self, path: str) -> None:
        name = path.partition("?")[0]
        if "://" not in name:
            if not Path(name).is_file():
                raise UserError(f"there are no weights at {path}; check the path")
            return
        try:
            self.path_manager.get_local_path(name)
        except Exception as error:  # of the network, or of a catalogue that lacks the name
            raise UserError(f"weights {path} cannot be fetched ({type(error).__name__}: {error})") from error
        if not Path(self.path_manager.get_local_path(name)).is_file():
            raise UserError(f"there are no weights at {path}: detectron2 knows no such address")

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        """Refuse what detectron2 notes in its log."""
        shapes = {name: f"is {theirs}, not {ours}" for name, theirs, ours in incompatible.incorrect_shapes}
        differing = [f"{name} {what}" for name, what in shapes.items()]
        missing = [name for name in incompatible.missing_keys if name not in shapes]
        differing += [f"{name} is missing" for name in missing]
        # a model that is not sampling-free has no use for what one adds
        surplus = [name for name in incompatible.unexpected_keys if not {*name.split(".")} & {*PARTS}]
        if self._is_strict:
            differing += [f"{name} is not in the model" for name in surplus]
        absent = len(incompatible.missing_keys)
        foreign = absent == len(self.model.state_dict()) or any(name.startswith("backbone.") for name in shapes)
        if differing and (self._is_strict or foreign):
            more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
            raise UserError(
                f"weights {self._path} are of another model than the config's: {'; '.join(differing[:_NAMED])}{more}; "
                f"use the config that they were trained with"
            )
        if differing:
            modules = sorted({name.rpartition(".")[0] for name in [*shapes, *missing]})
            logger.info("not in %s, so from random weights: %s", self._path, ", ".join(modules))


class _ArraysOnly(pickle.Unpickler):
    """Reads what detectron2's own .pkl files hold: arrays by name. Anything else could run code."""

    _ALLOWED = {"_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"}

    def find_class(self, module: str, name: str) -> Any:
        """numpy's array, its type and how it is put together."""
        is_numpy = module.partition(".")[0] == "numpy" and name in self._ALLOWED
        if is_numpy or (module, name) in (("_codecs", "encode"), ("collections", "OrderedDict")):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _refuse_code(path: str) -> None:
    if not Path(path).stat().st_size:
        raise UserError(f"{path} is no checkpoint: it is empty")
    try:
        with open(path, "rb") as file:
            _ArraysOnly(file, encoding="latin1").load()
    except Exception as error:
        raise UserError(f"{path} holds more than arrays, and would not be safe to load: {error}") from error
