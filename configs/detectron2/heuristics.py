"""The heuristics that the papers compare with, in detectron2's RetinaNet and Faster R-CNN, R-50-FPN 1x.

| variant | heuristic | the papers' AP on val (theirs) | guided scaling on top |
|---|---|---|---|
| `biased` | biased sampling by this project's classes | 36.4 (v2 Table VII) | `guided_biased`: 36.4 to 36.8 |
| `ohem` | online hard example mining in the RoI head | 36.6 | `guided_ohem` |
| `iou_balanced` | IoU-balanced sampling in the RoI head | 36.8 | `guided_iou_balanced` |
| `isr` | importance-based sample reweighting in the RoI head | 37.9 | `guided_isr` |
| `ghmc` | GHM-C in place of Focal Loss | 35.8 | `guided_ghmc` |
| `ghmc_ghmr` | GHM-C and GHM-R, the latter ten-fold as in the public code | 36.9 | |
| `ghmr` | sampling-free with GHM-R as the loss that guides | 37.1 (v1) | |
| | Focal Loss: `retinanet.py` | 36.4 | `guided_focal`: 36.7 (v1), 36.5 (v2) |

`shapes_...` are the same on the generated shapes, minutes on 2 cores. COCO: `--num-gpus 8`, 90,000 iterations at batch
16; not run here.
"""

from sampling_free.config import LazyCall as L
from sampling_free.detectron2 import make_sampling_free
from sampling_free.heuristics import GHMC, GHMR, ISR, BiasedSampling, FocalLoss, IoUBalancedSampling, OnlineHardExamples
from sampling_free.mechanism import ConstantScaling, GuidedScaling, LearnedScaling, PerExample

from ..common.schedules import steps
from .common.run import every_image
from .faster_rcnn import R_50_FPN_1x_baseline as faster_rcnn_on_coco
from .faster_rcnn import shapes_baseline as faster_rcnn_on_shapes
from .retinanet import R_50_FPN_1x as sampling_free_retinanet_on_coco
from .retinanet import R_50_FPN_1x_baseline as retinanet_on_coco
from .retinanet import shapes as sampling_free_retinanet_on_shapes
from .retinanet import shapes_baseline as retinanet_on_shapes


def biased():
    """Biased sampling in the RoI head."""
    return _choosing(faster_rcnn_on_coco(), L(BiasedSampling)(batch_size=512, positive_fraction=0.25))


def ohem():
    """Online hard example mining in the RoI head."""
    return _choosing(faster_rcnn_on_coco(), L(OnlineHardExamples)(batch_size=512, positive_fraction=0.25))


def iou_balanced():
    """IoU-balanced sampling in the RoI head."""
    return _choosing(faster_rcnn_on_coco(), L(IoUBalancedSampling)(batch_size=512, positive_fraction=0.25))


def isr():
    """Importance-based sample reweighting in the RoI head."""
    return _choosing(faster_rcnn_on_coco(), L(ISR)(batch_size=512, positive_fraction=0.25))


def guided_biased():
    """Biased sampling, and guided scaling on top of it."""
    return _guided(biased())


def guided_ohem():
    """Online hard example mining, and guided scaling on top of it."""
    return _guided(ohem())


def guided_iou_balanced():
    """IoU-balanced sampling, and guided scaling on top of it."""
    return _guided(iou_balanced())


def guided_isr():
    """Importance-based sample reweighting, and guided scaling on top of it."""
    return _guided(isr())


def shapes_biased():
    """Biased sampling in the RoI head on the shapes, 32 of about 100 proposals."""
    return _choosing(faster_rcnn_on_shapes(), L(BiasedSampling)(batch_size=32, positive_fraction=0.25))


def shapes_ohem():
    """Online hard example mining in the RoI head on the shapes, 32 of about 100 proposals."""
    return _choosing(faster_rcnn_on_shapes(), L(OnlineHardExamples)(batch_size=32, positive_fraction=0.25))


def shapes_iou_balanced():
    """IoU-balanced sampling in the RoI head on the shapes, 32 of about 100 proposals."""
    return _choosing(faster_rcnn_on_shapes(), L(IoUBalancedSampling)(batch_size=32, positive_fraction=0.25))


def shapes_isr():
    """Importance-based sample reweighting in the RoI head on the shapes, 32 of about 100 proposals."""
    return _choosing(faster_rcnn_on_shapes(), L(ISR)(batch_size=32, positive_fraction=0.25))


def shapes_guided_biased():
    """Biased sampling on the shapes, and guided scaling on top of it."""
    return _guided(shapes_biased())


def shapes_guided_ohem():
    """Online hard example mining on the shapes, and guided scaling on top of it."""
    return _guided(shapes_ohem())


def shapes_guided_iou_balanced():
    """IoU-balanced sampling on the shapes, and guided scaling on top of it."""
    return _guided(shapes_iou_balanced())


def shapes_guided_isr():
    """Importance-based sample reweighting on the shapes, and guided scaling on top of it."""
    return _guided(shapes_isr())


def ghmc():
    """GHM-C in place of Focal Loss."""
    return _ghmc(retinanet_on_coco())


def guided_ghmc():
    """GHM-C, and the optimal bias and guided scaling on top of it."""
    return _classifying(sampling_free_retinanet_on_coco(), L(GHMC)())


def ghmc_ghmr():
    """GHM-C and GHM-R."""
    return _ghmr(ghmc(), L(GHMR)())


def ghmr():
    """Sampling-free with GHM-R as the loss that guides."""
    return _ghmr(sampling_free_retinanet_on_coco(), L(GHMR)())


def guided_focal():
    """Focal Loss, and the optimal bias and guided scaling on top of it."""
    return _classifying(sampling_free_retinanet_on_coco(), L(FocalLoss)())


def shapes_ghmc():
    """GHM-C in place of Focal Loss on the shapes; its own bias and three times the iterations as with torchvision."""
    cfg = _ghmc(retinanet_on_shapes())
    cfg.model.head.prior_prob = 0.2
    cfg.lr_multiplier = steps(2400, [1920], warmup=80, start=0.05)
    cfg.train.update(max_iter=2400, eval_period=800)
    return cfg


def shapes_guided_ghmc():
    """GHM-C on the shapes, and guided scaling on top of it; the bias stays GHM-C's."""
    cfg = shapes_ghmc()
    cfg.model.scaling = L(LearnedScaling)()
    return every_image(cfg)


def shapes_ghmc_ghmr():
    """GHM-C and GHM-R on the shapes."""
    return _ghmr(shapes_ghmc(), L(GHMR)(mu=0.2))


def shapes_ghmr():
    """Sampling-free on the shapes with GHM-R as the loss that guides."""
    return _ghmr(sampling_free_retinanet_on_shapes(), L(GHMR)(mu=0.2))  # mu: see ../torchvision/heuristics.py


def shapes_guided_focal():
    """Focal Loss on the shapes, and the optimal bias and guided scaling on top of it."""
    return _classifying(sampling_free_retinanet_on_shapes(), L(FocalLoss)())


def _choosing(cfg, sampling):
    """Another choice in the RoI head; its losses and the RPN stay detectron2's."""
    make_sampling_free(
        cfg.model, heads=["roi"], sampling=sampling, scaling=L(ConstantScaling)(w=1.0), normalizer=L(PerExample)()
    )
    cfg.train.prior = None
    return cfg


def _guided(cfg):
    cfg.model.roi_heads.scaling = L(GuidedScaling)(factor=2.0)
    return cfg


def _ghmc(cfg):
    make_sampling_free(cfg.model, classification_loss=L(GHMC)(), scaling=L(ConstantScaling)(w=1.0))
    cfg.train.prior = None  # Focal Loss's own
    return cfg


def _ghmr(cfg, box_loss):
    cfg.model.box_loss = box_loss
    cfg.model.normalizer.localization_weight = 10.0
    return cfg


def _classifying(cfg, loss):
    cfg.model.classification_loss = loss
    return cfg
