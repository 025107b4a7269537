"""The papers' recipe where detectron2's differs, from the authors' released code (maskrcnn-benchmark).

Short side 800 only; images without objects dropped; twice the rate and no weight decay for biases; warm-up over 500
iterations from 1/3; smooth L1; RetinaNet's box deltas weighted 10, 10, 5, 5 and its box loss averaged over coordinates;
anchors that reach out of the image ignored by the proposal network; RoIAlign of before detectron2. What stays
detectron2's: box widths without the extra pixel, and in FCOS the box loss and where centerness is predicted.
"""

from sampling_free.config import LazyCall as L
from sampling_free.detectron2 import make_sampling_free
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling, PerForeground


def papers_recipe(cfg):
    """Changes a config of this folder, sampling-free or baseline, in place, and returns it."""
    model, optimizer, warmup = cfg.model, cfg.optimizer, cfg.lr_multiplier
    cfg.dataloader.train.dataset.filter_empty = True
    cfg.dataloader.train.mapper.augmentations[0].short_edge_length = [800]
    warmup.update(warmup_length=500 / cfg.train.max_iter, warmup_factor=1 / 3)
    optimizer.params.update(base_lr="${..lr}", bias_lr_factor=2.0, weight_decay_bias=0.0)
    if "proposal_generator" in model:
        _two_stage(model)
        return cfg
    if "normalizer" not in model:
        # detectron2's own divides by a moving average; ours, with Focal Loss, as the papers' baseline does
        make_sampling_free(model, classification_loss=L(FocalLoss)(), scaling=L(ConstantScaling)(w=1.0))
        cfg.train.prior = None
    if "anchor_generator" in model:
        model.smooth_l1_beta = 0.11
        model.box2box_transform.weights = [10.0, 10.0, 5.0, 5.0]
        model.normalizer = L(PerForeground)(localization_weight=1 / 4)
    else:
        model.center_sampling_radius = float("inf")  # no centre sampling
        warmup.warmup_method = "constant"
    return cfg


def _two_stage(model):
    model.proposal_generator.update(smooth_l1_beta=1 / 9, anchor_boundary_thresh=0)
    heads = model.roi_heads
    for predictor in heads.box_predictors if "box_predictors" in heads else [heads.box_predictor]:
        predictor.smooth_l1_beta = 1.0
    for pooler in [heads.box_pooler, heads.get("mask_pooler")]:
        if pooler is not None:
            pooler.update(sampling_ratio=2, pooler_type="ROIAlign")
