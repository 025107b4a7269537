"""The torchvision host's engine: what a config with `engine = "sampling_free.torchvision.train.engine"` runs.

Training is Lightning's. A run leaves in `train.output_dir`: config.yaml, metrics.csv and TensorBoard's events,
checkpoints/last.ckpt and checkpoints/best.ckpt (the best bbox/AP), result.json, COCO result files, pictures/.
"""

import logging
from functools import cached_property, partial
from pathlib import Path

import torch
from lightning.pytorch import Trainer, seed_everything
from omegaconf import DictConfig
from torch import nn
from torch.utils.data import DataLoader

from sampling_free import config
from sampling_free.errors import UserError
from sampling_free.runs import flow
from sampling_free.runs.checkpoints import label_names_of, refuse_renamed
from sampling_free.runs.folder import open_folder
from sampling_free.runs.launch import Launch
from sampling_free.runs.options import nodes_of
from sampling_free.runs.stopwatch import Stopwatch
from sampling_free.torchvision.foreground import counted_head, fit_prior, set_prior, settle_prior
from sampling_free.torchvision.train import run_pictures
from sampling_free.torchvision.train.checkpoints import iteration_of, load_weights, refuse_other_classes
from sampling_free.torchvision.train.csv_log import CsvLog
from sampling_free.torchvision.train.datasets import DetectionDataset
from sampling_free.torchvision.train.evaluation import CocoEvaluator
from sampling_free.torchvision.train.loading import test_loader, train_loader
from sampling_free.torchvision.train.options import Options
from sampling_free.torchvision.train.predictor import category_names, load_model, predict
from sampling_free.torchvision.train.processes import speaking_of_peers
from sampling_free.torchvision.train.quiet import quiet
from sampling_free.torchvision.train.trainer import trainer_of
from sampling_free.torchvision.train.training import DetectorTraining

__all__ = ["category_names", "evaluate", "load_model", "predict", "train"]

logger = logging.getLogger(__name__)


def train(cfg: DictConfig, *, resume: bool = False, launch: Launch | None = None) -> dict[str, float]:
    """Train a config's model, evaluating on the way; returns the last evaluation's metrics.

    Args:
        cfg: the config; see `configs/torchvision/common/run.py` for what `train` holds.
        resume: go on from `checkpoints/last.ckpt` of the output folder, where there is one.
        launch: processes and machines.

    Raises:
        UserError: what the user can mend, in a sentence.
        DivergedError: a loss was not finite; result.json says so, and the last checkpoint stays.
    """
    return flow.train(_Run(cfg, launch or Launch()), resume=resume)


def evaluate(cfg: DictConfig, *, launch: Launch | None = None) -> dict[str, float]:
    """Evaluate `train.init_checkpoint`, or without one `checkpoints/last.ckpt` of the output folder."""
    return flow.evaluate(_Run(cfg, launch or Launch()))


class _Run:
    """What `flow.Run` asks of a host."""

    def __init__(self, cfg: DictConfig, launch: Launch) -> None:
        nodes = nodes_of(cfg)
        if "evaluator" in nodes["dataloader"]:
            raise UserError(
                "this config's data are detectron2's: it has a dataloader.evaluator; take a config of "
                "configs/torchvision, or let engine=sampling_free.detectron2.train.engine run it"
            )
        self.cfg, self.launch = cfg, launch
        self.options = Options.of(nodes["train"], launch)
        self.folder = open_folder(self.options.output_dir)
        self.last = self.folder / "checkpoints" / "last.ckpt"
        quiet()
        seed_everything(self.options.seed, verbose=False)
        self.test_set = self._data("test")
        self.module = self._module(config.instantiate(cfg.model, "model"))
        settle_prior(self.module.model)
        self.stopwatch = Stopwatch()
        self.log = CsvLog(self.folder / "metrics.csv")
        self.trainer = self._trainer(logs=True)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.trainer.is_global_zero

    @property
    def iteration(self) -> int:
        """Iterations that are done."""
        return self.module.global_step

    @property
    def metrics(self) -> dict[str, float]:
        """Of the last evaluation."""
        return self.module.metrics

    @cached_property
    def train_set(self) -> DetectionDataset:
        """The training data, read when asked for: an evaluation does without."""
        return self._data("train")

    def _data(self, split: str) -> DetectionDataset:
        data = config.instantiate(self.cfg.dataloader[split].dataset, f"dataloader.{split}.dataset")
        logger.info("%s data: %s", split, data.summary)
        return data

    def check(self) -> None:
        """Compare model and training data, and refuse what cannot train."""
        refuse_other_classes(self.module.model, self.train_set)
        if not self.train_set.has_objects:
            raise UserError("the training data has no box at all but of crowds: there is no foreground to learn from")
        if not self.test_set.has_objects:
            raise UserError(
                "the evaluation data has no box at all but of crowds: there is no AP; --eval-only can do without"
            )
        self.module.label_names = self.train_set.label_names
        self.test_set.match(self.train_set.label_names)

    def load(self, weights: str | Path) -> None:
        """Load all weights of the model, to evaluate them."""
        names = label_names_of(weights)
        if names:
            self.test_set.match(names)
        refuse_other_classes(self.module.model, self.test_set)
        load_weights(self.module.model, weights)

    def resume(self) -> int:
        """Load the weights of `last`; Lightning takes the rest of it when training starts."""
        start = iteration_of(self.last)
        refuse_renamed(self.last, self.train_set.label_names)
        load_weights(self.module.model, self.last)  # says in a sentence what Lightning would say in a page
        return start

    def initialize(self) -> None:
        """Weights to start from, and the prior."""
        model, prior = self.module.model, self.options.prior
        if self.options.init_checkpoint:
            load_weights(model, self.options.init_checkpoint)
        if counted_head(model) is None or prior is None:
            return
        if prior == "auto":
            fit_prior(model, self.train_set, seed=self.options.seed)
        else:
            set_prior(model, float(prior))

    def forget_after(self, start: int) -> None:
        """Drop figures of iterations that are trained again."""
        self.log.forget_after(start)

    def fit(self, start: int) -> None:
        """All iterations from one on, with evaluations and checkpoints."""
        with speaking_of_peers(self.launch):
            self.trainer.fit(self.module, ckpt_path=str(self.last) if start else None, weights_only=True)

    def evaluate(self) -> dict[str, float]:
        """The metrics of the model as it is."""
        with speaking_of_peers(self.launch):
            self._trainer(logs=False).validate(self.module, verbose=False)
        return self.metrics

    def draw_data(self) -> None:
        """A picture of the first batches."""
        run_pictures.draw_data(self.folder, self.train_set, self.options.seed)

    def draw(self) -> None:
        """Pictures of what the run found."""
        run_pictures.draw(self.folder, self.test_set)

    def _trainer(self, *, logs: bool) -> Trainer:
        return trainer_of(self.options, self.launch, self.folder, self.stopwatch, self.log if logs else None)

    def _module(self, model: nn.Module) -> DetectorTraining:
        test, options = self.cfg.dataloader.test, self.options
        module = DetectorTraining(
            model,
            optimizer=self._optimizer,
            lr_multiplier=config.instantiate(self.cfg.lr_multiplier, "lr_multiplier"),
            max_iter=options.max_iter,
            train_data=self._train_data,
            test_data=self._test_data,
            evaluator=partial(CocoEvaluator, self.test_set, masks=test.masks),
            seed=options.seed,
            validation_loss=options.validation_loss,
        )
        module.output_dir = str(self.folder)
        return module

    def _optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        call = config.plain(self.cfg.optimizer)
        call["params"]["model"] = model
        return config.instantiate(call, "optimizer")

    def _train_data(self, start: int) -> DataLoader:
        stream = self.cfg.dataloader.train
        sizes = {"total_batch_size": stream.total_batch_size, "num_workers": stream.num_workers}
        ranks = {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}
        return train_loader(self.train_set, seed=self.options.seed, start_iteration=start, **sizes, **ranks)

    def _test_data(self) -> DataLoader:
        test = self.cfg.dataloader.test
        ranks = {"rank": self.module.trainer.global_rank, "world_size": self.module.trainer.world_size}
        return test_loader(self.test_set, batch_size=test.batch_size, num_workers=test.num_workers, **ranks)
