"""One training step: detectron2's, with a seed of its own, mixed precision on any device, and a look at the losses."""

import contextlib
import time
from collections.abc import Iterable
from typing import Any

import torch
from detectron2.engine import SimpleTrainer
from detectron2.engine.hooks import PeriodicWriter
from detectron2.utils import comm
from torch import Tensor, nn

from sampling_free.errors import DivergedError
from sampling_free.mechanism.processes import gathered, mean_over_processes
from sampling_free.runs.flow import ADVICE
from sampling_free.runs.stream import mixed_seed, seed_all


class DetectorTrainer(SimpleTrainer):
    """detectron2's `SimpleTrainer` and `AMPTrainer` in one, whose iteration t is a function of (seed, t, process).

    Args:
        model: wrapped or not.
        data_loader: batches of detectron2's records, without end, from the first iteration to be done on.
        optimizer: of the model.
        seed: of everything random in the model.
        half: the data type of mixed precision, or None. Float16's gradients are scaled.
        clip_grad: largest norm of the gradient, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable,
        optimizer: torch.optim.Optimizer,
        *,
        seed: int = 0,
        half: torch.dtype | None = None,
        clip_grad: float | None = None,
    ) -> None:
        super().__init__(model, data_loader, optimizer)
        self.seed = seed
        self.half = half
        self.clip_grad = clip_grad
        self.device = next(model.parameters()).device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half is torch.float16)

    def run_step(self) -> None:
        """Losses, gradients, one step of the optimiser.

        Raises:
            DivergedError: a loss is not finite, on any process.
        """
        start = time.perf_counter()
        batch = next(self._data_loader_iter)
        data_time = time.perf_counter() - start
        seed_all(mixed_seed(self.seed, self.iter * comm.get_world_size() + comm.get_rank()))
        losses = self._losses(batch)
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        self._check_finite(total, losses, batch)
        self.optimizer.zero_grad()
        self.scaler.scale(total).backward()
        self.after_backward()
        if self.clip_grad is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_grad)
        self._write_metrics(losses, data_time)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _losses(self, batch: list[dict[str, Any]]) -> dict[str, Tensor]:
        try:
            with torch.autocast(self.device.type, dtype=self.half, enabled=self.half is not None):
                return self.model(batch)
        except FloatingPointError as error:  # detectron2's, of a proposal network's boxes and scores
            # the other processes may be in the middle of an exchange: they notice when this one has gone
            found = f"boxes or scores of the proposal network, of images {_identities(batch)}, are not finite"
            raise self._diverged(found) from error

    def _check_finite(self, total: Tensor, losses: dict[str, Tensor], batch: list[dict[str, Any]]) -> None:
        if mean_over_processes(total.detach()).isfinite():
            return
        wrong = [name for name, loss in losses.items() if not loss.isfinite()]
        found = f"{', '.join(wrong)} of images {_identities(batch)} is not finite" if wrong else ""
        raise self._diverged(next(filter(None, gathered(found)), "the sum of losses is not finite"))

    def _diverged(self, found: str) -> DivergedError:
        return DivergedError(f"training diverged in iteration {self.iter + 1}: {found}; {ADVICE}")

    def after_train(self) -> None:
        """The hooks' ends; after a failure only the writers', for detectron2's hooks take its last iteration for done.

        A run that failed in the last iteration would be evaluated and saved.
        """
        if self.iter < self.max_iter:
            self._hooks: list[Any] = [hook for hook in self._hooks if isinstance(hook, PeriodicWriter)]
            with contextlib.suppress(Exception):  # what the run failed of matters, not what writers make of that
                super().after_train()
            return
        super().after_train()

    def state_dict(self) -> dict[str, Any]:
        """State after the iteration that just ended, also when all have."""
        state = super().state_dict() | {"scaler": self.scaler.state_dict()}
        return state | {"iteration": min(self.iter, self.max_iter - 1)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        super().load_state_dict(state_dict)
        if state_dict["scaler"]:  # a run without float16 has none
            self.scaler.load_state_dict(state_dict["scaler"])


def check_weights(model: nn.Module, iteration: int) -> None:
    """Refuse weights that are beyond hope: they are neither evaluated nor saved, and the checkpoint before stays.

    Raises:
        DivergedError: one is not finite.
    """
    wrong = [name for name, weight in model.named_parameters() if not weight.isfinite().all()]
    if wrong:
        raise DivergedError(
            f"training diverged: after iteration {iteration} weights are not finite, "
            f"{wrong[0].removeprefix('module.')} first; {ADVICE}"
        )


def _identities(batch: list[dict[str, Any]]) -> list[Any]:
    return [item.get("image_id", item.get("file_name")) for item in batch]
