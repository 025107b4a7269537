"""PASCAL VOC 07+12 -> 07 test, as detectron2's own `PascalVOC-Detection`: 18,000 iterations at batch 16."""

from detectron2.config import LazyCall as L
from detectron2.evaluation import PascalVOCDetectionEvaluator
from detectron2.solver import WarmupParamScheduler
from fvcore.common.param_scheduler import MultiStepParamScheduler

lr_multiplier = L(WarmupParamScheduler)(
    scheduler=L(MultiStepParamScheduler)(values=[1.0, 0.1, 0.01], milestones=[12_000, 16_000, 18_000]),
    warmup_length=100 / 18_000,
    warmup_method="linear",
    warmup_factor=0.001,
)


def on_voc(model, dataloader, train):
    """In place: data, number of classes and iterations."""
    dataloader.train.dataset.names = ["voc_2007_trainval", "voc_2012_trainval"]
    dataloader.train.mapper.augmentations[0].short_edge_length = list(range(480, 801, 32))
    dataloader.test.dataset.names = "voc_2007_test"
    dataloader.evaluator = L(PascalVOCDetectionEvaluator)(dataset_name="${..test.dataset.names}")
    (model.roi_heads if "roi_heads" in model else model).num_classes = 20
    train.update(max_iter=18_000, eval_period=6_000)
