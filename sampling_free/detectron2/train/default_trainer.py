"""For YAML configs: detectron2's `DefaultTrainer` with what a sampling-free model needs before and beside its steps."""

import weakref
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultTrainer, HookBase
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator, PascalVOCDetectionEvaluator
from torch import nn

from sampling_free.detectron2.foreground import counted_head, fit_prior, set_prior, settle_prior
from sampling_free.detectron2.optimizer import exempt_scales
from sampling_free.detectron2.train.checkpointer import SafeCheckpointer
from sampling_free.detectron2.train.loading import require_registered
from sampling_free.errors import UserError


class SamplingFreeTrainer(DefaultTrainer):
    """Counts foreground before the first iteration and keeps weight decay off learned scales.

    `MODEL.SAMPLING_FREE.PRIOR` says where bias and score threshold come from; a resumed run has them in its checkpoint.
    Other models, detectron2's own among them, train as by `DefaultTrainer`. Weights are read as data: unlike
    detectron2's, no file of weights can run code.

    Args:
        cfg: detectron2's, with `add_sampling_free_config`'s node.

    Raises:
        UserError: a data set is not registered, or the model has another number of classes than the data.
    """

    def __init__(self, cfg: CfgNode) -> None:
        for key in ("TRAIN", "TEST"):
            for name in cfg.DATASETS[key]:
                require_registered(name, f"DATASETS.{key}")
        super().__init__(cfg)
        for name in cfg.DATASETS.TRAIN:
            self._refuse_other_classes(name)

    def build_hooks(self) -> list[HookBase | None]:
        """detectron2's, around a checkpointer that reads files as data."""
        self.checkpointer = SafeCheckpointer(self._trainer.model, self.cfg.OUTPUT_DIR, trainer=weakref.proxy(self))
        return super().build_hooks()

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """detectron2's, with the learned scales in a group without weight decay."""
        return exempt_scales(super().build_optimizer(cfg, model), model)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str, output_folder: str | None = None) -> DatasetEvaluator:
        """COCO's evaluator or VOC's, as the data set's `evaluator_type` says."""
        if MetadataCatalog.get(dataset_name).get("evaluator_type") == "pascal_voc":
            return PascalVOCDetectionEvaluator(dataset_name)
        return COCOEvaluator(dataset_name, output_dir=output_folder or cfg.OUTPUT_DIR)

    def train(self) -> Any:
        """Set the prior unless the run is resumed, then train."""
        settle_prior(self._model())
        if self.start_iter == 0:
            self._set_prior()
        return super().train()

    def _refuse_other_classes(self, name: str) -> None:
        categories = MetadataCatalog.get(name).get("thing_classes")
        model = self._model()
        num_classes = getattr(getattr(model, "roi_heads", model), "num_classes", None)
        if None not in (categories, num_classes) and num_classes != len(categories):
            raise UserError(
                f"data set {name} has {len(categories)} categories, but the model was built with {num_classes}; "
                f"set its NUM_CLASSES to {len(categories)}"
            )

    def _model(self) -> Any:
        return getattr(self._trainer.model, "module", self._trainer.model)

    def _set_prior(self) -> None:
        model = self._model()
        prior = self.cfg.MODEL.get("SAMPLING_FREE", {}).get("PRIOR", "")
        if counted_head(model) is None or prior in ("", None):
            return
        if prior == "auto":
            # a loader of its own: that of the training is to start with its first batch
            fit_prior(model, self.build_train_loader(self.cfg))
            return
        try:
            number = float(prior)
        except ValueError as error:
            raise UserError(f'MODEL.SAMPLING_FREE.PRIOR is {prior!r}; it takes "auto", a number or ""') from error
        set_prior(model, number)
