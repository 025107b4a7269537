"""Changes of a whole config: each takes one, changes it in place and returns it."""

from detectron2.evaluation import PascalVOCDetectionEvaluator
from detectron2.solver import WarmupParamScheduler
from fvcore.common.param_scheduler import MultiStepParamScheduler

from sampling_free.config import LazyCall as L
from sampling_free.detectron2 import SCALE_OVERRIDES, make_sampling_free
from sampling_free.detectron2.models import host_config
from sampling_free.heuristics import BiasedSampling
from sampling_free.mechanism import PerExample


def sampling_free(cfg, **choices):
    """The method, in place of detectron2's own training; choices are those of `make_sampling_free`."""
    make_sampling_free(cfg.model, **choices)
    return every_image(cfg)


def every_image(cfg):
    """Images without objects train too, and a learned scale has no weight decay."""
    cfg.dataloader.train.dataset.filter_empty = False
    cfg.optimizer.params.overrides = SCALE_OVERRIDES
    return cfg


def without_masks(cfg):
    """detectron2 has its two-stage models as LazyConfigs with masks only: here they lose them."""
    for name in ("mask_in_features", "mask_pooler", "mask_head"):
        cfg.model.roi_heads.pop(name)
    cfg.dataloader.train.mapper.use_instance_mask = False
    return cfg


def on_resnet101(cfg):
    """ResNet-101 in place of ResNet-50."""
    cfg.model.backbone.bottom_up.stages.depth = 101
    cfg.train.init_checkpoint = "detectron2://ImageNetPretrained/MSRA/R-101.pkl"
    return cfg


def twice_as_long(cfg):
    """detectron2's schedule of 180,000 iterations."""
    cfg.train.max_iter = 180_000
    cfg.lr_multiplier = host_config("common/coco_schedule.py", "lr_multiplier_2x")
    return cfg


def on_voc(cfg):
    """PASCAL VOC 07+12 -> 07 test, as detectron2's own `PascalVOC-Detection`: 18,000 iterations at batch 16."""
    data = cfg.dataloader
    data.train.dataset.names = ["voc_2007_trainval", "voc_2012_trainval"]
    data.train.mapper.augmentations[0].short_edge_length = list(range(480, 801, 32))
    data.test.dataset.names = "voc_2007_test"
    data.evaluator = L(PascalVOCDetectionEvaluator)(dataset_name="${..test.dataset.names}")
    (cfg.model.roi_heads if "roi_heads" in cfg.model else cfg.model).num_classes = 20
    cfg.train.update(max_iter=18_000, eval_period=6_000)
    cfg.lr_multiplier = L(WarmupParamScheduler)(
        scheduler=L(MultiStepParamScheduler)(values=[1.0, 0.1, 0.01], milestones=[12_000, 16_000, 18_000]),
        warmup_length=100 / 18_000,
        warmup_method="linear",
        warmup_factor=0.001,
    )
    return cfg


def biased_sampling():
    """Choices of `make_sampling_free` with which both heads of an R-CNN keep detectron2's sampling and normalisers."""
    return dict(
        sampling=dict(
            rpn=L(BiasedSampling)(batch_size=256, positive_fraction=0.5),
            roi=L(BiasedSampling)(batch_size=512, positive_fraction=0.25),
        ),
        normalizer=L(PerExample)(),
        boundary_threshold=-1,
    )
