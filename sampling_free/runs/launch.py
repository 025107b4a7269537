"""The engine and the processes of a config, with the options of detectron2's command line."""

import importlib
import sys
import warnings
from dataclasses import dataclass
from types import ModuleType
from urllib.parse import urlparse

from omegaconf import DictConfig

from sampling_free.errors import UserError


@dataclass(frozen=True)
class Launch:
    """Processes and machines of a run.

    Attributes:
        num_gpus: processes on this machine, one a GPU; without CUDA, one a CPU process each.
        num_machines: machines in all.
        machine_rank: number of this machine, from 0.
        dist_url: `tcp://host:port` of machine 0, or "auto" on a single machine.
    """

    num_gpus: int = 1
    num_machines: int = 1
    machine_rank: int = 0
    dist_url: str = "auto"

    def __post_init__(self) -> None:
        if self.num_gpus < 0 or self.num_machines < 1 or not 0 <= self.machine_rank < self.num_machines:
            raise UserError(
                f"--num-gpus {self.num_gpus} --num-machines {self.num_machines} --machine-rank {self.machine_rank} "
                f"does not name processes; ranks of machines run from 0 to num-machines - 1"
            )
        if self.num_machines > 1 and self.address is None:
            raise UserError("several machines need --dist-url tcp://HOST:PORT of machine 0, the same on all of them")

    @property
    def processes(self) -> int:
        """Processes over all machines."""
        return max(1, self.num_gpus) * self.num_machines

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of machine 0, or None where "auto" will do.

        Raises:
            UserError: `dist_url` is neither "auto" nor tcp://host:port.
        """
        if self.dist_url == "auto":
            return None
        parsed = urlparse(self.dist_url)
        if parsed.scheme != "tcp" or not parsed.hostname or not parsed.port:
            raise UserError(f"--dist-url must be 'auto' or tcp://HOST:PORT, not {self.dist_url!r}")
        return parsed.hostname, parsed.port


def engine_of(cfg: DictConfig) -> ModuleType:
    """The module that the config's `engine` names.

    Raises:
        UserError: it cannot be imported; for the detectron2 host it says how to install detectron2.
    """
    try:
        return importlib.import_module(cfg.engine)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("detectron2"):
            raise UserError(
                f"engine {cfg.engine} needs detectron2, which is not installed: run `make setup-detectron2`"
            ) from error
        raise UserError(f"engine {cfg.engine!r} of the config cannot be imported: {error}") from error


def quiet_libraries() -> None:
    """Ignore what detectron2 asks of torch though it is deprecated: nobody here can change that."""
    # Python's own process that frees what a killed one leaves would speak after the sentence that says why
    leaked = "ignore:resource_tracker:UserWarning"
    if leaked not in sys.warnoptions:
        sys.warnoptions.append(leaked)  # processes that are started inherit them
    warnings.filterwarnings("ignore", message=".torch.jit.script. is deprecated", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".broadcast_buffers. is deprecated", category=FutureWarning)
    warnings.filterwarnings("ignore", message="torch.meshgrid")
