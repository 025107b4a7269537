"""The detectron2 host: detectron2's own detectors, trained on every example.

Importing this registers `SamplingFreeRetinaNet`, `SamplingFreeFCOS`, `SamplingFreeRPN`, `SamplingFreeROIHeads`,
`SamplingFreeCascadeROIHeads`, `ATSS`, `PAA`, `FoveaBox` and `YOLOV3` with detectron2.

    cfg.model = make_sampling_free(cfg.model)       # a LazyConfig
    model = instantiate(cfg.model)
    fit_prior(model, instantiate(cfg.dataloader.train))
"""

from sampling_free.errors import UserError

try:
    from detectron2.utils.events import has_event_storage  # noqa: F401 - newer than detectron2's last release
except ImportError as error:
    raise UserError(
        f"sampling_free.detectron2 needs detectron2 as of commit 02b5c4e2, but there is none, or an older one "
        f"({error}); run `make setup-detectron2`"
    ) from error

from sampling_free.detectron2.cascade import EveryStage, PerStage, SamplingFreeCascadeROIHeads
from sampling_free.detectron2.convert import make_sampling_free, to_host
from sampling_free.detectron2.dense import ATSS, PAA, YOLOV3, DarkNet53Backbone, FoveaBox
from sampling_free.detectron2.fcos import SamplingFreeFCOS
from sampling_free.detectron2.foreground import counted_head, fit_prior, set_prior
from sampling_free.detectron2.optimizer import SCALE_OVERRIDES, exempt_scales
from sampling_free.detectron2.retinanet import SamplingFreeRetinaNet
from sampling_free.detectron2.roi_heads import SamplingFreeROIHeads
from sampling_free.detectron2.rpn import SamplingFreeRPN
from sampling_free.detectron2.yacs import add_sampling_free_config

__all__ = [
    "ATSS",
    "PAA",
    "SCALE_OVERRIDES",
    "YOLOV3",
    "DarkNet53Backbone",
    "EveryStage",
    "FoveaBox",
    "PerStage",
    "SamplingFreeCascadeROIHeads",
    "SamplingFreeFCOS",
    "SamplingFreeROIHeads",
    "SamplingFreeRPN",
    "SamplingFreeRetinaNet",
    "add_sampling_free_config",
    "counted_head",
    "exempt_scales",
    "fit_prior",
    "make_sampling_free",
    "set_prior",
    "to_host",
]
