"""The torchvision host's engine: what a config with `engine = "sampling_free.torchvision.train.engine"` runs.

Training is Lightning's. A run leaves in `train.output_dir`: config.yaml, metrics.csv and TensorBoard's events,
checkpoints/last.ckpt and checkpoints/best.ckpt (the best bbox/AP), result.json, COCO result files, pictures/.
"""

import copy
import logging
import os
import re
import sys
import warnings
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import nn

from sampling_free import config
from sampling_free.errors import DivergedError, UserError
from sampling_free.runs.folder import set_aside, writable, write_result
from sampling_free.runs.launch import Launch
from sampling_free.runs.stopwatch import Stopwatch
from sampling_free.torchvision.foreground import counted_head, fit_prior, set_prior
from sampling_free.torchvision.train import run_pictures
from sampling_free.torchvision.train.callbacks import AtomicCheckpointIO, Checkpoints, IterationBar, Timing
from sampling_free.torchvision.train.checkpoints import iteration_of, load_weights, refuse_other_classes
from sampling_free.torchvision.train.datasets import DetectionDataset
from sampling_free.torchvision.train.evaluation import CocoEvaluator
from sampling_free.torchvision.train.loading import test_loader, train_loader
from sampling_free.torchvision.train.logs import CsvLog
from sampling_free.torchvision.train.options import check_options
from sampling_free.torchvision.train.training import DetectorTraining

logger = logging.getLogger(__name__)


def train(cfg: DictConfig, *, resume: bool = False, launch: Launch | None = None) -> dict[str, float]:
    """Train a config's model, evaluating on the way; returns the last evaluation's metrics.

    Args:
        cfg: the config; see `configs/common/train.py` for what `train` holds.
        resume: go on from `checkpoints/last.ckpt` of the output folder, where there is one.
        launch: processes and machines.

    Raises:
        UserError: what the user can mend, in a sentence.
        DivergedError: a loss was not finite; result.json says so, and the last checkpoint stays.
    """
    run = _Run(cfg, launch or Launch())
    last = run.folder / "checkpoints" / "last.ckpt"
    start = run.prepare(last, resume=resume)
    if start >= cfg.train.max_iter:
        logger.info("%s has %d of %d iterations: raise train.max_iter to go on", last, start, cfg.train.max_iter)
        metrics = _evaluate(cfg, run.launch, last)
        if not (run.folder / "result.json").is_file():  # killed after the last iteration
            run.finish(metrics, iterations=start)
        return metrics
    if not start:
        run.draw_data()
    try:
        run.trainer.fit(run.module, ckpt_path=str(last) if start else None, weights_only=True)
    except DivergedError as error:
        good = f"; {last} is from before" if last.is_file() else ""
        run.finish({}, iterations=run.module.global_step, diverged=f"{error}{good}")
        raise DivergedError(f"{error}{good}") from error
    except SystemExit as error:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from error
    except RuntimeError as error:
        if run.launch.processes == 1 or not re.search("gloo|NCCL", str(error)):
            raise
        raise UserError("another process of this run ended early; what it said tells why") from error
    run.finish(run.module.metrics, iterations=run.module.global_step)
    return run.module.metrics


def evaluate(cfg: DictConfig, *, launch: Launch | None = None) -> dict[str, float]:
    """Evaluate `train.init_checkpoint`, or without one `checkpoints/last.ckpt` of the output folder."""
    last = Path(cfg.train.output_dir) / "checkpoints" / "last.ckpt"
    return _evaluate(cfg, launch or Launch(), cfg.train.init_checkpoint or last)


def _evaluate(cfg: DictConfig, launch: Launch, weights: str | Path) -> dict[str, float]:
    run = _Run(cfg, launch, logs=False)
    refuse_other_classes(run.module.model, run.test_set)
    load_weights(run.module.model, weights)
    logger.info("evaluating %s", weights)
    run.trainer.validate(run.module, verbose=False)
    return run.module.metrics


def load_model(cfg: DictConfig, weights: str | Path) -> nn.Module:
    """The config's model with the weights of a checkpoint, in evaluation mode, on the GPU where there is one."""
    model = config.instantiate(cfg.model, "model")
    load_weights(model, weights)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


@torch.no_grad()
def predict(model: nn.Module, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Detections in one image `(H, W, 3)` uint8 RGB: `boxes` XYXY, `scores`, `labels`, and `masks` where there are."""
    device = next(model.parameters()).device
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1).to(device).float() / 255
    return {name: value.cpu().numpy() for name, value in model([tensor])[0].items()}


def category_names(cfg: DictConfig) -> dict[int, str]:
    """Name of each label that the config's model predicts."""
    return config.instantiate(cfg.dataloader.test.dataset, "dataloader.test.dataset").label_names


@dataclass
class _Run:
    """Everything that a run is made of, built and checked before the first batch."""

    cfg: DictConfig
    launch: Launch
    logs: bool = True  # whether the run writes metrics.csv and TensorBoard's events

    def __post_init__(self) -> None:
        if "evaluator" in self.cfg.dataloader:
            raise UserError(
                "this config's data are detectron2's: it has a dataloader.evaluator; take a config of "
                "configs/torchvision, or let engine=sampling_free.detectron2.train.engine run it"
            )
        check_options(self.cfg.train, self.launch)
        self.folder = writable(self.cfg.train.output_dir)
        _quiet()
        seed_everything(self.cfg.train.seed, verbose=False)
        self.test_set = self._data("test")
        self.module = self._module(config.instantiate(self.cfg.model, "model"))
        self.stopwatch = Stopwatch()
        self.log = CsvLog(self.folder / "metrics.csv")
        self.trainer = self._trainer()

    @cached_property
    def train_set(self) -> DetectionDataset:
        """The training data, read when asked for: an evaluation does without."""
        return self._data("train")

    def _data(self, split: str) -> DetectionDataset:
        data = config.instantiate(self.cfg.dataloader[split].dataset, f"dataloader.{split}.dataset")
        logger.info("%s data: %s", split, data.summary)
        return data

    def prepare(self, last: Path, *, resume: bool) -> int:
        """Check data, weights and folder, say where the run starts, and return that iteration."""
        model = self.module.model
        refuse_other_classes(model, self.train_set)
        if not self.train_set.coco.anns:
            raise UserError("the training data has no box at all: there is no foreground to learn from")
        if not self.test_set.coco.anns:
            raise UserError("the evaluation data has no box at all: there is no AP; --eval-only can do without")
        start = iteration_of(last) if resume and last.is_file() else 0
        if start:
            load_weights(copy.deepcopy(model), last)  # says in a sentence what Lightning would say in a page
            logger.info("resuming %s at iteration %d of %d", last, start, self.cfg.train.max_iter)
        else:
            if resume:
                logger.info("there is no %s to resume; starting from the beginning", last)
            _initialize(self.cfg, model, self.train_set)
        if self.trainer.is_global_zero:
            if not start:
                set_aside(self.folder)
            self.log.forget_after(start)
            config.save(self.cfg, self.folder / "config.yaml")
        return start

    def _module(self, model: nn.Module) -> DetectorTraining:
        cfg = self.cfg
        stream, test = cfg.dataloader.train, cfg.dataloader.test

        def optimizer(model: nn.Module) -> torch.optim.Optimizer:
            call = config.plain(cfg.optimizer)
            call["params"]["model"] = model
            return config.instantiate(call, "optimizer")

        def train_data(start: int) -> torch.utils.data.DataLoader:
            return train_loader(
                self.train_set,
                total_batch_size=stream.total_batch_size,
                seed=cfg.train.seed,
                num_workers=stream.num_workers,
                start_iteration=start,
                rank=self.trainer.global_rank,
                world_size=self.trainer.world_size,
            )

        def test_data() -> torch.utils.data.DataLoader:
            ranks = {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}
            return test_loader(self.test_set, batch_size=test.batch_size, num_workers=test.num_workers, **ranks)

        module = DetectorTraining(
            model,
            optimizer=optimizer,
            lr_multiplier=config.instantiate(cfg.lr_multiplier, "lr_multiplier"),
            max_iter=cfg.train.max_iter,
            train_data=train_data,
            test_data=test_data,
            evaluator=partial(CocoEvaluator, self.test_set, masks=test.masks),
            seed=cfg.train.seed,
            validation_loss=cfg.train.validation_loss,
        )
        module.output_dir = str(self.folder)
        return module

    def _trainer(self) -> Trainer:
        options, launch = self.cfg.train, self.launch
        events = TensorBoardLogger(str(self.folder), name="", version="tensorboard")
        if launch.address is not None:
            os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = launch.address[0], str(launch.address[1])
            os.environ["NODE_RANK"] = str(launch.machine_rank)
        return Trainer(
            accelerator="gpu" if torch.cuda.is_available() else "cpu",
            devices=max(1, launch.num_gpus),
            num_nodes=launch.num_machines,
            strategy="ddp" if launch.processes > 1 else "auto",
            precision=options.precision,
            max_steps=options.max_iter,
            max_epochs=-1,
            val_check_interval=(options.eval_period or options.max_iter) * options.accumulate,
            check_val_every_n_epoch=None,
            limit_val_batches=1.0,
            num_sanity_val_steps=0,
            accumulate_grad_batches=options.accumulate,
            gradient_clip_val=options.clip_grad,
            log_every_n_steps=options.log_period,
            logger=[self.log, events] if self.logs else False,
            callbacks=self._callbacks(),
            plugins=[AtomicCheckpointIO()],
            enable_checkpointing=False,  # Lightning's own callback for it; ours is among the callbacks
            use_distributed_sampler=False,
            enable_model_summary=False,
        )

    def _callbacks(self) -> list[Callback]:
        options = self.cfg.train
        callbacks: list[Callback] = [
            IterationBar(refresh_rate=1 if sys.stderr.isatty() else max(options.log_period, options.max_iter // 20)),
            Timing(self.stopwatch),
        ]
        if options.ema is not None:
            callbacks.append(EMAWeightAveraging(decay=options.ema, use_buffers=False))
        if options.patience is not None:
            callbacks.append(EarlyStopping("bbox/AP", mode="max", patience=options.patience))
        period, eval_period = options.checkpoint_period, options.eval_period or options.max_iter
        return [*callbacks, Checkpoints(self.folder / "checkpoints", period=period, eval_period=eval_period)]

    def draw_data(self) -> None:
        """A picture of the first batches."""
        if self.trainer.is_global_zero:
            run_pictures.draw_data(self.folder, self.train_set, self.cfg.train.seed)

    def finish(self, metrics: dict[str, float], *, iterations: int, diverged: str | None = None) -> None:
        """What a run writes when all its iterations are done, or when it cannot go on."""
        self.write_result(metrics, iterations=iterations, diverged=diverged)
        if self.trainer.is_global_zero:
            run_pictures.draw(self.folder, self.test_set)

    def write_result(self, metrics: dict[str, float], *, iterations: int, diverged: str | None = None) -> None:
        """result.json: what a comparison of runs reads."""
        if self.trainer.is_global_zero:
            write_result(
                self.folder,
                metrics,
                iterations=iterations,
                seconds_per_iteration=self.stopwatch.seconds_per_iteration,
                peak_memory_mb=self.stopwatch.peak_memory_mb,
                diverged=diverged,
            )


def _initialize(cfg: DictConfig, model: nn.Module, data: DetectionDataset) -> None:
    """Weights to start from and the prior; a resumed run has both in its checkpoint."""
    if cfg.train.init_checkpoint:
        load_weights(model, cfg.train.init_checkpoint)
    if counted_head(model) is None or cfg.train.prior is None:
        return
    if cfg.train.prior == "auto":
        fit_prior(model, data, seed=cfg.train.seed)
    else:
        set_prior(model, float(cfg.train.prior))


def _quiet() -> None:
    """Lightning's remarks that do not concern a user of a config."""
    for name in ("lightning.pytorch", "lightning.fabric", "faster_coco_eval"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*LeafSpec.*",
        ".*sync_dist.*",
    ):
        warnings.filterwarnings("ignore", message=message)
