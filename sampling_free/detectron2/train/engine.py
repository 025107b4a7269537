"""The detectron2 host's engine: what a config with `engine = "sampling_free.detectron2.train.engine"` runs.

The flow is that of detectron2's LazyConfig training script: its trainer, hooks, writers, checkpointer, evaluators. A
run leaves in `train.output_dir`: config.yaml, metrics.csv, detectron2's metrics.json and TensorBoard's events,
checkpoints/last.pth and checkpoints/best.pth (the best bbox/AP), result.json, COCO result files, pictures/.
"""

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data.transforms import AugInput, AugmentationList
from detectron2.engine import create_ddp_model, hooks
from detectron2.utils import comm
from detectron2.utils.events import CommonMetricPrinter, EventWriter, JSONWriter, TensorboardXWriter
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import nn

from sampling_free import config
from sampling_free.detectron2.foreground import counted_head, fit_prior, set_prior
from sampling_free.detectron2.optimizer import exempt_scales
from sampling_free.detectron2.train import run_pictures
from sampling_free.detectron2.train.checkpointer import RunCheckpointer
from sampling_free.detectron2.train.evaluation import evaluate as evaluate_model
from sampling_free.detectron2.train.evaluation import evaluator_of
from sampling_free.detectron2.train.hooks import (
    Bar,
    BestCheckpointer,
    LastCheckpointer,
    PeriodicWriter,
    TableWriter,
    Timing,
    forget_after,
)
from sampling_free.detectron2.train.loading import TrainingData, categories_of, names_of, open_data, test_loader
from sampling_free.detectron2.train.options import Options
from sampling_free.detectron2.train.processes import run_in_processes
from sampling_free.detectron2.train.training import DetectorTrainer, check_weights
from sampling_free.errors import DivergedError, UserError
from sampling_free.runs.figures import FigureTable
from sampling_free.runs.folder import set_aside, writable, write_result
from sampling_free.runs.launch import Launch
from sampling_free.runs.pictures import IMAGES
from sampling_free.runs.stopwatch import Stopwatch
from sampling_free.runs.stream import seed_all

logger = logging.getLogger(__name__)


def train(cfg: DictConfig, *, resume: bool = False, launch: Launch | None = None) -> dict[str, float]:
    """Train a config's model, evaluating on the way; returns the last evaluation's metrics.

    Args:
        cfg: the config; see `configs/detectron2/common` for what `train` holds.
        resume: go on from `checkpoints/last.pth` of the output folder, where there is one.
        launch: processes and machines.

    Raises:
        UserError: what the user can mend, in a sentence.
        DivergedError: a loss was not finite; result.json says so, and the last checkpoint stays.
    """
    launch = launch or Launch()
    _check(cfg, launch)  # before any process starts
    return run_in_processes(_train_resumed if resume else _train, launch, cfg, launch)


def evaluate(cfg: DictConfig, *, launch: Launch | None = None) -> dict[str, float]:
    """Evaluate `train.init_checkpoint`, or without one `checkpoints/last.pth` of the output folder."""
    launch = launch or Launch()
    _check(cfg, launch)
    return run_in_processes(_evaluate, launch, cfg, launch)


def _check(cfg: DictConfig, launch: Launch) -> None:
    """Refuse a config of the other host, whose data are not detectron2's, and options that make no sense."""
    if "evaluator" not in cfg.dataloader or "_target_" not in cfg.dataloader.train:
        raise UserError(
            "this config's data are not detectron2's: it has no dataloader.evaluator; take a config of "
            "configs/detectron2, or let engine=sampling_free.torchvision.train.engine run it"
        )
    Options.of(cfg.train, launch)


def _train_resumed(cfg: DictConfig, launch: Launch) -> dict[str, float]:
    return _train(cfg, launch, resume=True)


def _train(cfg: DictConfig, launch: Launch, *, resume: bool = False) -> dict[str, float]:
    run = _Run(cfg, launch)
    data = TrainingData(cfg.dataloader.train, run.options.seed)
    run.refuse_other_classes(data.categories, "dataloader.train.dataset")
    start = run.prepare(data, resume=resume)
    last = run.folder / "checkpoints" / "last.pth"
    if start >= run.options.max_iter:
        logger.info("%s has %d of %d iterations: raise train.max_iter to go on", last, start, run.options.max_iter)
        metrics = run.evaluate()
        if not (run.folder / "result.json").is_file():  # killed after the last iteration
            run.finish(metrics, start)
        return metrics
    if not start:
        run.draw_data(data)
    try:
        run.fit(data, start)
    except DivergedError as error:
        good = f"; {last} is from before" if last.is_file() else ""
        run.finish({}, run.trainer.iter, diverged=f"{error}{good}")
        raise DivergedError(f"{error}{good}") from error
    run.finish(run.metrics, run.options.max_iter)
    return run.metrics


def _evaluate(cfg: DictConfig, launch: Launch) -> dict[str, float]:
    run = _Run(cfg, launch)
    weights = run.options.init_checkpoint or str(run.folder / "checkpoints" / "last.pth")
    RunCheckpointer(run.model).load_weights(weights)
    logger.info("evaluating %s", weights)
    return run.evaluate()


class Predictor:
    """A model with what its test data do to an image.

    Args:
        cfg: of the model and the test mapper.
        weights: path of a checkpoint.
    """

    def __init__(self, cfg: DictConfig, weights: str | Path) -> None:
        self.model = config.instantiate(cfg.model, "model")
        RunCheckpointer(self.model).load_weights(weights)
        self.model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        mapper = config.plain(cfg.dataloader.test.mapper)
        self.augmentations = AugmentationList(config.instantiate(mapper["augmentations"], "augmentations"))
        self.is_bgr = mapper.get("image_format", "BGR") == "BGR"

    @torch.no_grad()
    def __call__(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Detections in one image `(H, W, 3)` uint8 RGB."""
        height, width = image.shape[:2]
        given = AugInput(image[..., ::-1] if self.is_bgr else image)
        self.augmentations(given)
        tensor = torch.from_numpy(np.ascontiguousarray(given.image.transpose(2, 0, 1)))
        found = self.model([{"image": tensor, "height": height, "width": width}])[0]["instances"].to("cpu")
        arrays = {"boxes": found.pred_boxes.tensor, "scores": found.scores, "labels": found.pred_classes}
        if found.has("pred_masks"):
            arrays["masks"] = found.pred_masks
        return {name: value.numpy() for name, value in arrays.items()}


def load_model(cfg: DictConfig, weights: str | Path) -> Predictor:
    """The config's model with the weights of a checkpoint, in evaluation mode, on the GPU where there is one."""
    return Predictor(cfg, weights)


def predict(model: Predictor, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Detections in one image `(H, W, 3)` uint8 RGB: `boxes` XYXY, `scores`, `labels`, and `masks` where there are."""
    return model(image)


def category_names(cfg: DictConfig) -> dict[int, str]:
    """Name of each label that the config's model predicts."""
    node = cfg.dataloader.test.dataset
    open_data(node, "dataloader.test.dataset")
    return dict(enumerate(categories_of(node)))


class _Run:
    """Everything that a run is made of, built and checked before the first batch.

    Args:
        cfg: the config.
        launch: processes and machines.
    """

    def __init__(self, cfg: DictConfig, launch: Launch) -> None:
        self.cfg = cfg
        self.options = Options.of(cfg.train, launch)
        self.folder = writable(self.options.output_dir)
        _quiet()
        seed_all(self.options.seed)
        self.model: Any = config.instantiate(cfg.model, "model").to(self.options.device)
        self.test_batches, self.test_records = test_loader(cfg.dataloader.test)
        self.test_name = next(iter(names_of(cfg.dataloader.test.dataset)), "")
        self.refuse_other_classes(categories_of(cfg.dataloader.test.dataset), "dataloader.test.dataset")
        self.evaluator = evaluator_of(cfg.dataloader.evaluator, self.folder, self.test_name)
        self.stopwatch = Stopwatch()
        self.metrics: dict[str, float] = {}  # of the last evaluation

    def refuse_other_classes(self, categories: list[str], key: str) -> None:
        """Check that the model has as many classes as the data.

        Raises:
            UserError: it has not.
        """
        num_classes = getattr(getattr(self.model, "roi_heads", self.model), "num_classes", None)
        owners = ("model", "model.roi_heads", "model.head")
        path = next((p for p in owners if "num_classes" in (OmegaConf.select(self.cfg, p) or {})), "model")
        if categories and num_classes is not None and num_classes != len(categories):
            raise UserError(
                f"{key} has {len(categories)} categories ({', '.join(categories[:5])}"
                f"{', ...' if len(categories) > 5 else ''}), but the model was built with {path}.num_classes="
                f"{num_classes}; set {path}.num_classes={len(categories)}"
            )

    def prepare(self, data: TrainingData, *, resume: bool) -> int:
        """Optimiser, weights, prior and folder; says where the run starts, and returns that iteration."""
        optimizer = self._optimizer()
        wrapped = self._wrapped()
        options = self.options
        self.trainer = DetectorTrainer(
            wrapped, [], optimizer, seed=options.seed, half=options.half, clip_grad=options.clip_grad
        )
        self.checkpointer = RunCheckpointer(wrapped, self.folder / "checkpoints", trainer=self.trainer)
        start = 0
        self.trainer.register_hooks(self._hooks())
        if resume and self.checkpointer.has_checkpoint():
            start = self.checkpointer.resume()
            logger.info(
                "resuming %s at iteration %d of %d", self.checkpointer.get_checkpoint_file(), start, options.max_iter
            )
        else:
            if resume:
                logger.info("there is no %s; starting from the beginning", self.checkpointer.get_checkpoint_file())
            self._initialize(data)
        comm.synchronize()
        if comm.is_main_process():
            if not start:
                set_aside(self.folder)
                (self.folder / "metrics.json").unlink(missing_ok=True)
            self.table.forget_after(start)
            forget_after(self.folder / "metrics.json", start)
            config.save(self.cfg, self.folder / "config.yaml")
        return start

    def _optimizer(self) -> torch.optim.Optimizer:
        call = config.plain(self.cfg.optimizer)
        call["params"]["model"] = self.model
        return exempt_scales(config.instantiate(call, "optimizer"), self.model)

    def _wrapped(self) -> nn.Module:
        """The model, wrapped where there are several processes; on a CPU it has no device number."""
        device = {} if self.options.device == "cuda" else {"device_ids": None}
        return create_ddp_model(self.model, **self.options.ddp, **device)

    def _initialize(self, data: TrainingData) -> None:
        """Weights to start from and the prior; a resumed run has both in its checkpoint."""
        if self.options.init_checkpoint:
            self.checkpointer.start_from(self.options.init_checkpoint)
        prior = self.options.prior
        if counted_head(self.model) is None or prior is None:
            return
        if prior == "auto":
            fit_prior(self.model, data.items or data.batches(), seed=self.options.seed)
        else:
            set_prior(self.model, float(prior))

    def _hooks(self) -> list[Any]:
        """detectron2's, in an order in which each knows what those before it did."""
        options, main = self.options, comm.is_main_process()
        self.table = FigureTable(self.folder / "metrics.csv")
        self.writers: list[EventWriter] = []  # filled when the run starts
        chosen = [
            Timing(self.stopwatch),
            hooks.IterationTimer(),
            hooks.LRScheduler(scheduler=config.instantiate(self.cfg.lr_multiplier, "lr_multiplier")),
            hooks.EvalHook(options.eval_period, self.evaluate),
        ]
        if main:
            chosen += [
                BestCheckpointer(options.eval_period, self.checkpointer, "bbox/AP", file_prefix="best"),
                PeriodicWriter(self.writers, options.log_period, options.eval_period),
                LastCheckpointer(self.checkpointer, options.checkpoint_period),
            ]
        return chosen

    def _writers(self, start: int) -> list[EventWriter]:
        options = self.options
        speaking = Bar(start, options.max_iter) if sys.stderr.isatty() else CommonMetricPrinter(options.max_iter)
        return [
            speaking,
            TableWriter(self.table, options.log_period, options.max_iter),
            JSONWriter(str(self.folder / "metrics.json")),
            TensorboardXWriter(str(self.folder / "tensorboard")),
        ]

    def fit(self, data: TrainingData, start: int) -> None:
        """All iterations from one on."""
        self.trainer.reset_data_loader(lambda: data.batches(start))
        if comm.is_main_process():
            self.writers.extend(self._writers(start))
        try:
            self.trainer.train(start, self.options.max_iter)
        finally:
            for writer in self.writers:  # which detectron2 closes only where the last evaluation went well
                writer.close()

    def evaluate(self) -> dict[str, float]:
        """The model's metrics on the test data."""
        # after the last iteration detectron2 has counted one more
        done = min(self.trainer.iter + 1, self.options.max_iter) if hasattr(self, "trainer") else 0
        check_weights(self.model, done)
        self.metrics = evaluate_model(self.model, self.test_batches, self.evaluator)
        return self.metrics

    def draw_data(self, data: TrainingData) -> None:
        """A picture of the first batches."""
        if comm.is_main_process() and data.categories:
            batches = data.batches(total_batch_size=IMAGES, alone=True)
            run_pictures.draw_data(self.folder, batches, data.categories)

    def finish(self, metrics: dict[str, float], iterations: int, *, diverged: str | None = None) -> None:
        """What a run writes when all its iterations are done, or when it cannot go on."""
        self.write_result(metrics, iterations, diverged=diverged)
        if comm.is_main_process() and categories_of(self.cfg.dataloader.test.dataset):
            run_pictures.draw(self.folder, self.test_records, self.test_name)

    def write_result(self, metrics: dict[str, float], iterations: int, *, diverged: str | None = None) -> None:
        """result.json: what a comparison of runs reads."""
        if comm.is_main_process():
            write_result(
                self.folder,
                metrics,
                iterations=iterations,
                seconds_per_iteration=self.stopwatch.seconds_per_iteration,
                peak_memory_mb=self.stopwatch.peak_memory_mb,
                diverged=diverged,
            )


def _quiet() -> None:
    """Remarks that do not concern a user of a config."""
    logging.getLogger("detectron2.engine.train_loop").addFilter(_is_unexpected)
    logging.getLogger("detectron2.data.build").addFilter(_is_of_dropped_images)
    for name in ("detectron2.data.common", "detectron2.evaluation.evaluator"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_unexpected(record: logging.LogRecord) -> bool:
    """Whether a record of detectron2's about an exception tells more than a sentence that is said anyway."""
    return record.exc_info is None or not isinstance(record.exc_info[1], UserError | DivergedError)


def _is_of_dropped_images(record: logging.LogRecord) -> bool:
    """Whether a record of detectron2's loading says that images were left out, or warns."""
    return record.levelno > logging.INFO or record.getMessage().startswith("Removed")
