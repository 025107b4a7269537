"""Lightning's trainer with what a run here needs of it."""

import os
import sys
from pathlib import Path

import torch
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger

from sampling_free.runs.launch import Launch
from sampling_free.runs.stopwatch import Stopwatch
from sampling_free.torchvision.train.callbacks import (
    AtomicCheckpointIO,
    Checkpoints,
    GradientShareLog,
    IterationBar,
    Patience,
    Timing,
)
from sampling_free.torchvision.train.csv_log import CsvLog
from sampling_free.torchvision.train.options import Options


def trainer_of(options: Options, launch: Launch, folder: Path, stopwatch: Stopwatch, log: CsvLog | None) -> Trainer:
    """The trainer of a run.

    Args:
        options: `train` of the config.
        launch: processes and machines.
        folder: of the run.
        stopwatch: times the iterations.
        log: of figures, written beside TensorBoard's events; None writes neither.
    """
    if launch.address is not None:
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = launch.address[0], str(launch.address[1])
        os.environ["NODE_RANK"] = str(launch.machine_rank)
    # processes are what the command line says, whatever a queue's variables say
    environment = [] if TorchElasticEnvironment.detect() else [LightningEnvironment()]
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
        logger=[log, TensorBoardLogger(str(folder), name="", version="tensorboard")] if log else False,
        callbacks=_callbacks(options, folder, stopwatch),
        plugins=[AtomicCheckpointIO(), *environment],
        enable_checkpointing=False,  # Lightning's own callback for it; ours is among the callbacks
        use_distributed_sampler=False,
        enable_model_summary=False,
    )


def _callbacks(options: Options, folder: Path, stopwatch: Stopwatch) -> list[Callback]:
    callbacks: list[Callback] = [
        IterationBar(refresh_rate=1 if sys.stderr.isatty() else max(options.log_period, options.max_iter // 20)),
        Timing(stopwatch),
    ]
    if options.gradient_shares:
        callbacks.append(GradientShareLog(options.log_period))
    if options.ema is not None:
        callbacks.append(EMAWeightAveraging(decay=options.ema, use_buffers=False))
    if options.patience is not None:
        callbacks.append(Patience("bbox/AP", mode="max", patience=options.patience))
    period, eval_period = options.checkpoint_period, options.eval_period or options.max_iter
    return [*callbacks, Checkpoints(folder / "checkpoints", period=period, eval_period=eval_period)]
