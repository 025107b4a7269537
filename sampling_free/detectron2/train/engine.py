"""The detectron2 host's engine: what a config with `engine = "sampling_free.detectron2.train.engine"` runs.

The flow is that of detectron2's LazyConfig training script: its trainer, hooks, writers, checkpointer, evaluators. A
run leaves in `train.output_dir`: config.yaml, metrics.csv, detectron2's metrics.json and TensorBoard's events,
checkpoints/last.pth and checkpoints/best.pth (the best bbox/AP), result.json, COCO result files, pictures/.
"""

from pathlib import Path
from typing import Any

import torch
from detectron2.engine import create_ddp_model
from detectron2.utils import comm
from omegaconf import DictConfig

from sampling_free import config
from sampling_free.detectron2.foreground import counted_head, fit_prior, set_prior, settle_prior
from sampling_free.detectron2.optimizer import exempt_scales
from sampling_free.detectron2.train import run_pictures
from sampling_free.detectron2.train.checkpointer import RunCheckpointer
from sampling_free.detectron2.train.evaluation import evaluate as evaluate_model
from sampling_free.detectron2.train.evaluation import evaluator_of, matched_by_name
from sampling_free.detectron2.train.hooks import forget_after, hooks_of, writers_of
from sampling_free.detectron2.train.loading import (
    TrainingData,
    categories_of,
    names_of,
    refuse_shared_names,
    test_loader,
    uses_masks,
)
from sampling_free.detectron2.train.options import Options, refuse_other_classes
from sampling_free.detectron2.train.predictor import category_names, load_model, predict
from sampling_free.detectron2.train.processes import run_in_processes
from sampling_free.detectron2.train.quiet import quiet
from sampling_free.detectron2.train.training import DetectorTrainer, check_weights
from sampling_free.errors import UserError
from sampling_free.runs import flow
from sampling_free.runs.checkpoints import label_names_of, refuse_renamed
from sampling_free.runs.figures import FigureTable
from sampling_free.runs.folder import open_folder
from sampling_free.runs.launch import Launch
from sampling_free.runs.options import nodes_of
from sampling_free.runs.pictures import IMAGES
from sampling_free.runs.stopwatch import Stopwatch
from sampling_free.runs.stream import seed_all

__all__ = ["category_names", "evaluate", "load_model", "predict", "train"]


def train(cfg: DictConfig, *, resume: bool = False, launch: Launch | None = None) -> dict[str, float]:
    """Train a config's model, evaluating on the way; returns the last evaluation's metrics.

    Args:
        cfg: the config; see `sampling_free.detectron2.train.zoo` for what `train` holds.
        resume: go on from `checkpoints/last.pth` of the output folder, where there is one.
        launch: processes and machines.

    Raises:
        UserError: what the user can mend, in a sentence.
        DivergedError: a loss was not finite; result.json says so, and the last checkpoint stays.
    """
    launch = launch or Launch()
    _checked(cfg, launch)  # before any process starts
    return run_in_processes(_resume if resume else _train, launch, cfg, launch)


def evaluate(cfg: DictConfig, *, launch: Launch | None = None) -> dict[str, float]:
    """Evaluate `train.init_checkpoint`, or without one `checkpoints/last.pth` of the output folder."""
    launch = launch or Launch()
    _checked(cfg, launch)
    return run_in_processes(_evaluate, launch, cfg, launch)


def _train(cfg: DictConfig, launch: Launch) -> dict[str, float]:
    return flow.train(_Run(cfg, launch), resume=False)


def _resume(cfg: DictConfig, launch: Launch) -> dict[str, float]:
    return flow.train(_Run(cfg, launch), resume=True)


def _evaluate(cfg: DictConfig, launch: Launch) -> dict[str, float]:
    return flow.evaluate(_Run(cfg, launch))


def _checked(cfg: DictConfig, launch: Launch) -> Options:
    """Refuse a config of the other host, whose data are not detectron2's, and options that make no sense."""
    nodes = nodes_of(cfg)
    if "evaluator" not in nodes["dataloader"] or "_target_" not in nodes["dataloader"]["train"]:
        raise UserError(
            "this config's data are not detectron2's: it has no dataloader.evaluator; take a config of "
            "configs/detectron2, or let engine=sampling_free.torchvision.train.engine run it"
        )
    return Options.of(nodes["train"], launch)


class _Run:
    """What `flow.Run` asks of a host."""

    def __init__(self, cfg: DictConfig, launch: Launch) -> None:
        self.cfg = cfg
        self.options = _checked(cfg, launch)
        self.folder = open_folder(self.options.output_dir)
        self.last = self.folder / "checkpoints" / "last.pth"
        quiet()
        seed_all(self.options.seed)
        self.model: Any = config.instantiate(cfg.model, "model").to(self.options.device)
        settle_prior(self.model)
        refuse_shared_names(cfg.dataloader)
        masks = uses_masks(config.plain(cfg.dataloader.train))
        self.test_batches, self.test_records = test_loader(cfg.dataloader.test, masks=masks)
        test = cfg.dataloader.test.dataset
        self.test_name, self.test_categories = next(iter(names_of(test)), ""), categories_of(test)
        self.evaluator = evaluator_of(cfg.dataloader.evaluator, self.folder, self.test_name)
        self.stopwatch = Stopwatch()
        self.metrics: dict[str, float] = {}

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return comm.is_main_process()

    @property
    def iteration(self) -> int:
        """Iterations that are done; within one, those before it."""
        return self.trainer.iter

    def check(self) -> None:
        """Read the training data, compare the model with them, and put together what trains."""
        cfg, options = self.cfg, self.options
        self.data = TrainingData(cfg.dataloader.train, options.seed)
        refuse_other_classes(self.model, cfg, self.data.categories, "dataloader.train.dataset")
        self._match(dict(enumerate(self.data.categories)))
        optimizer = self._optimizer()
        device = {} if options.device == "cuda" else {"device_ids": None}  # a CPU has no number
        wrapped = create_ddp_model(self.model, **options.ddp, **device)
        self.trainer = DetectorTrainer(
            wrapped, [], optimizer, seed=options.seed, half=options.half, clip_grad=options.clip_grad
        )
        self.checkpointer = RunCheckpointer(wrapped, self.last.parent, trainer=self.trainer)
        self.checkpointer.label_names = dict(enumerate(self.data.categories))
        self.table = FigureTable(self.folder / "metrics.csv")
        self.writers: list[Any] = []  # filled when the run starts
        schedule = config.instantiate(cfg.lr_multiplier, "lr_multiplier")
        self.trainer.register_hooks(
            hooks_of(options, self.model, self.stopwatch, schedule, self.evaluate, self.checkpointer, self.writers)
        )

    def _optimizer(self) -> torch.optim.Optimizer:
        call = config.plain(self.cfg.optimizer)
        call["params"]["model"] = self.model
        return exempt_scales(config.instantiate(call, "optimizer"), self.model)

    def load(self, weights: str | Path) -> None:
        """Load all weights of the model, to evaluate them."""
        self._match(label_names_of(weights))
        RunCheckpointer(self.model).load_weights(weights)

    def _match(self, labels: dict[int, str]) -> None:
        """Number the classes of the evaluation as the model does, whose names are known where it trained here."""
        if not labels or not self.test_categories:
            refuse_other_classes(self.model, self.cfg, self.test_categories, "dataloader.test.dataset")
            return
        self.evaluator = matched_by_name(
            self.evaluator, self.test_records, self.test_categories, labels, f"data set {self.test_name}"
        )

    def resume(self) -> int:
        """Take everything from `last`; returns the iterations that it has behind it."""
        refuse_renamed(self.last, self.checkpointer.label_names)
        start = self.checkpointer.resume()
        comm.synchronize()
        return start

    def initialize(self) -> None:
        """Weights to start from, and the prior."""
        options = self.options
        if options.init_checkpoint:
            self.checkpointer.start_from(options.init_checkpoint)
        if counted_head(self.model) is not None and options.prior is not None:
            if options.prior == "auto":
                fit_prior(self.model, self.data.items or self.data.batches(), seed=options.seed)
            else:
                set_prior(self.model, float(options.prior))
        comm.synchronize()

    def forget_after(self, start: int) -> None:
        """Drop figures of iterations that are trained again."""
        self.table.forget_after(start)
        forget_after(self.folder / "metrics.json", start)

    def fit(self, start: int) -> None:
        """All iterations from one on, with evaluations and checkpoints."""
        self.trainer.reset_data_loader(lambda: self.data.batches(start))
        if self.is_first:
            self.writers.extend(writers_of(self.options, self.folder, self.table, start))
        try:
            self.trainer.train(start, self.options.max_iter)
        finally:
            for writer in self.writers:  # which detectron2 closes only where the last evaluation went well
                writer.close()

    def evaluate(self) -> dict[str, float]:
        """The metrics of the model as it is."""
        # after the last iteration detectron2 has counted one more
        done = min(self.trainer.iter + 1, self.options.max_iter) if hasattr(self, "trainer") else 0
        check_weights(self.model, done)
        self.metrics = evaluate_model(self.model, self.test_batches, self.evaluator)
        return self.metrics

    def draw_data(self) -> None:
        """A picture of the first batches."""
        if self.data.categories:
            batches = self.data.batches(total_batch_size=IMAGES, alone=True)
            run_pictures.draw_data(self.folder, batches, self.data.categories)

    def draw(self) -> None:
        """Pictures of what the run found."""
        if self.test_categories:
            run_pictures.draw(self.folder, self.test_records, self.test_name)
