"""detectron2's FCOS, trained on every point. Letters: N images, L levels, R points of an image, C classes."""

from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import configurable
from detectron2.modeling.backbone import build_backbone
from detectron2.modeling.box_regression import _dense_box_regression_loss
from detectron2.modeling.meta_arch import META_ARCH_REGISTRY
from detectron2.modeling.meta_arch.fcos import FCOS, FCOSHead
from detectron2.structures import Boxes
from torch import Tensor, nn

from sampling_free.detectron2.one_stage import OneStage
from sampling_free.detectron2.yacs import dense_choices
from sampling_free.errors import UserError
from sampling_free.mechanism import LossScaling, PerForeground
from sampling_free.mechanism.normalization import over, reduction_of


@META_ARCH_REGISTRY.register()
class SamplingFreeFCOS(OneStage, FCOS):
    """An `FCOS` whose classification loss, normaliser and loss scale are objects.

    Centerness keeps its own weight and does not guide classification, as in the papers' first code; `FrozenScaling`
    weights it too, as in the later one. Parameters, calls, loss names and detections are detectron2's.

    Args:
        classification_loss: default `SigmoidCrossEntropy()`.
        box_loss: refused, but None: FCOS trains its boxes by GIoU.
        normalizer: default `PerForeground()`. detectron2's own is
            `PerForeground(count=MovingForegroundNormalizer(300))`.
        scaling: of the classification loss; default `LearnedScaling()` (v2).
        host: what detectron2's `FCOS` takes; `focal_loss_alpha` and `focal_loss_gamma` are idle.

    Raises:
        UserError: the normaliser is no `PerForeground`, or a loss makes no sense here.
    """

    normalizer: PerForeground
    _boxes_by = "IoU"

    @configurable
    def __init__(
        self,
        *,
        classification_loss: nn.Module | None = None,
        box_loss: nn.Module | None = None,
        normalizer: PerForeground | None = None,
        scaling: LossScaling | None = None,
        **host: Any,
    ) -> None:
        super().__init__(**host)
        self._add_parts(classification_loss, box_loss, normalizer, scaling)
        if not isinstance(self.normalizer, PerForeground):
            raise UserError(f"FCOS takes normalizer=PerForeground(), with any count, not {self.normalizer}")

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Arguments from a yacs config.

        detectron2 has no config node for its FCOS: `MODEL.RETINANET` serves, as the two share their head, but for what
        is about anchors; its prior is `PRIOR_PROB`.
        """
        node = cfg.MODEL.RETINANET
        backbone = build_backbone(cfg)
        shapes = [backbone.output_shape()[name] for name in node.IN_FEATURES]
        head = FCOSHead(
            input_shape=shapes,
            num_classes=node.NUM_CLASSES,
            conv_dims=[shapes[0].channels] * node.NUM_CONVS,
            norm=node.NORM,
            prior_prob=node.PRIOR_PROB,
        )
        return {
            "backbone": backbone,
            "head": head,
            "head_in_features": node.IN_FEATURES,
            "num_classes": node.NUM_CLASSES,
            "test_score_thresh": node.SCORE_THRESH_TEST,
            "test_topk_candidates": node.TOPK_CANDIDATES_TEST,
            "test_nms_thresh": node.NMS_THRESH_TEST,
            "max_detections_per_image": cfg.TEST.DETECTIONS_PER_IMAGE,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        } | dense_choices(cfg)

    def losses(
        self,
        anchors: list[Boxes],
        pred_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
        pred_centerness: list[Tensor],
    ) -> dict[str, Tensor]:
        """The losses `loss_fcos_cls`, `loss_fcos_loc`, `loss_fcos_ctr`, scaled, and a regulariser if there is one.

        Args:
            anchors: per level, a box of the stride's size around each point.
            pred_logits: per level the raw map `(N, C, H, W)`, unlike detectron2's.
            gt_labels: per image `(R,)`.
            pred_anchor_deltas: per level `(N, H*W, 4)`.
            gt_boxes: per image `(R, 4)`, the matched boxes.
            pred_centerness: per level `(N, H*W, 1)`.
        """
        labels = torch.stack(gt_labels)
        foreground = (labels >= 0) & (labels < self.num_classes)
        loss_loc = _dense_box_regression_loss(
            anchors, self.box2box_transform, pred_anchor_deltas, gt_boxes, foreground, box_reg_loss_type="giou"
        )
        centerness = torch.cat(pred_centerness, dim=1).squeeze(dim=2)[foreground]
        targets = self.compute_ctrness_targets(anchors, gt_boxes)[foreground]  # type: ignore[operator]
        loss_ctr = F.binary_cross_entropy_with_logits(centerness, targets, reduction="sum")
        num_foreground = foreground.sum(dim=1)
        divisor = self.normalizer.count(num_foreground.sum())
        classification = self.classification_loss(pred_logits, labels, self.num_classes)
        losses = {
            "loss_fcos_cls": over(classification, divisor, reduction_of(self.classification_loss)),
            "loss_fcos_loc": loss_loc * self.normalizer.localization_weight / divisor,
            "loss_fcos_ctr": loss_ctr / divisor,
        }
        return self._scaled(losses, "loss_fcos_cls", "loss_fcos_loc", num_foreground)
