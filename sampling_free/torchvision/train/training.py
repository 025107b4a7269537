"""One training step, one evaluation step: what Lightning's trainer calls.

An iteration is a call of the optimiser, as detectron2 counts; `train.accumulate` batches make one.
"""

import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from fvcore.common.param_scheduler import ParamScheduler
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sampling_free.errors import DivergedError
from sampling_free.mechanism.processes import gathered, mean_over_processes
from sampling_free.runs.flow import ADVICE
from sampling_free.runs.optimizer import give_settings, settings_of
from sampling_free.runs.stream import mixed_seed
from sampling_free.torchvision.logged import logged_values
from sampling_free.torchvision.train.evaluation import CocoEvaluator

Batch = tuple[list[Tensor], list[dict[str, Any]]]


class DetectorTraining(LightningModule):
    """A torchvision detector with its optimiser, schedule, data and evaluation.

    Args:
        model: called as torchvision's: `model(images, targets)` in training, `model(images)` in evaluation.
        optimizer: makes the optimiser of the model.
        lr_multiplier: of the learning rate, over the run from 0 to 1.
        max_iter: iterations of the run.
        train_data: makes the batches from a given batch number on.
        test_data: makes the evaluation's batches.
        evaluator: makes a fresh evaluator.
        seed: what iteration t draws at random is a function of (seed, t, process), so a resumed run draws the same.
        validation_loss: compute the losses of the evaluation's images too.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        optimizer: Callable[[nn.Module], torch.optim.Optimizer],
        lr_multiplier: ParamScheduler,
        max_iter: int,
        train_data: Callable[[int], DataLoader],
        test_data: Callable[[], DataLoader],
        evaluator: Callable[[], CocoEvaluator],
        seed: int,
        validation_loss: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.make_optimizer = optimizer
        self.lr_multiplier = lr_multiplier
        self.max_iter = max_iter
        self.train_data = train_data
        self.test_data = test_data
        self.make_evaluator = evaluator
        self.seed = seed
        self.validation_loss = validation_loss
        self.evaluator: CocoEvaluator | None = None
        self.validation_losses: list[Tensor] = []
        self.output_dir: str | None = None
        self.label_names: dict[int, str] = {}  # of the training data
        self.metrics: dict[str, float] = {}  # of the last evaluation

    def configure_optimizers(self) -> Any:
        """The optimiser, and the learning rate's multiplier after each iteration."""
        optimizer = self.make_optimizer(self.model)

        def multiplier(iteration: int) -> float:
            return self.lr_multiplier(min(iteration, self.max_iter - 1) / self.max_iter)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, multiplier)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        """The optimiser's settings are the config's: those in the checkpoint of a resumed run may be others."""
        optimizer: Any = self.trainer.optimizers[0]
        schedule: Any = self.trainer.lr_scheduler_configs[0].scheduler
        settings = settings_of(self.make_optimizer(self.model))
        give_settings(optimizer, settings)
        schedule.base_lrs = [values["initial_lr"] for values in settings]
        for group, multiplier in zip(optimizer.param_groups, schedule.lr_lambdas, strict=True):
            group["lr"] = group["initial_lr"] * multiplier(schedule.last_epoch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The names of the model's labels: by them an evaluation knows which column is which class."""
        checkpoint["label_names"] = self.label_names

    def train_dataloader(self) -> DataLoader:
        """The stream from the first batch that has not trained yet."""
        return self.train_data(self.global_step * self.trainer.accumulate_grad_batches)

    def val_dataloader(self) -> DataLoader:
        """Every image once."""
        return self.test_data()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Sum of the losses of one batch.

        Raises:
            DivergedError: it is not finite, on any process.
        """
        torch.manual_seed(mixed_seed(self.seed, batch_idx * self.trainer.world_size + self.global_rank))
        images, targets = batch
        losses = self.model(images, targets)
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        self._check_finite(total, losses, targets)
        self._log_step(losses, total, len(images))
        return total

    def on_validation_epoch_start(self) -> None:
        """A fresh evaluator."""
        self.evaluator, self.validation_losses = self.make_evaluator(), []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Detections of one batch, and its losses if asked for."""
        images, targets = batch
        assert self.evaluator is not None
        self.evaluator.update([target["image_id"] for target in targets], self.model(images))
        if self.validation_loss:
            with computing_losses(self.model):
                self.validation_losses.append(torch.stack(list(self.model(images, targets).values())).sum())

    def on_validation_epoch_end(self) -> None:
        """Average precision over all processes, logged under detectron2's names."""
        assert self.evaluator is not None
        metrics = self.evaluator.compute(self.output_dir if self.trainer.is_global_zero else None)
        self.metrics = dict(metrics)
        if self.validation_losses:
            mine = float(torch.stack(self.validation_losses).mean())
            metrics["validation_loss"] = statistics.fmean(gathered(mine))
        step = float(self.global_step)
        self.log_dict(metrics | {"step": step}, logger=self.logger is not None, rank_zero_only=False)
        if "bbox/AP" in metrics:  # else the images have no ground truth
            self.log("AP", metrics["bbox/AP"], prog_bar=True, logger=False)

    def _check_finite(self, total: Tensor, losses: dict[str, Tensor], targets: list[dict[str, Any]]) -> None:
        if math.isfinite(mean_over_processes(total.detach())):
            return
        wrong = [name for name, loss in losses.items() if not loss.isfinite()]
        images = [int(target["image_id"]) for target in targets]
        found = f"{', '.join(wrong)} of images {images} is not finite" if wrong else ""
        found = next(filter(None, gathered(found)), "the sum of losses is not finite")
        raise DivergedError(f"training diverged in iteration {self.global_step + 1}: {found}; {ADVICE}")

    def _log_step(self, losses: dict[str, Tensor], total: Tensor, batch_size: int) -> None:
        scaled = {name: loss.detach() for name, loss in losses.items()}
        # a head without a loss scale (a baseline's) trains its losses as they are: raw and scaled are the same
        raw = {f"raw/{name}": loss for name, loss in scaled.items() if not name.endswith("/regularizer")}
        figures = {name: value.float() for name, value in logged_values(self.model).items() if value.numel() == 1}
        rate = {"lr": self.trainer.optimizers[0].param_groups[0]["lr"], "step": float(self.global_step + 1)}
        for name, value in (scaled | {"total_loss": total.detach()} | raw | figures | rate).items():
            in_bar = name in scaled or name.endswith("ratio")
            self.log(name, value, prog_bar=in_bar, logger=True, batch_size=batch_size)


@contextmanager
def computing_losses(model: nn.Module) -> Iterator[None]:
    """Let a torchvision detector in evaluation mode return losses.

    Only the flags that choose between losses and detections are set: normalisation layers and the state of the loss
    scale stay as in evaluation.
    """
    parts = [model, *(getattr(model, name) for name in ("head", "rpn", "roi_heads") if hasattr(model, name))]
    for part in parts:
        part.training = True
    try:
        yield
    finally:
        for part in parts:
            part.training = False
