"""detectron2's RetinaNet, trained on every anchor.

Letters: N images, L levels, A anchors per place, R anchors of an image, C classes.
"""

from typing import Any

import torch
from detectron2.config import configurable
from detectron2.modeling.box_regression import _dense_box_regression_loss
from detectron2.modeling.meta_arch import META_ARCH_REGISTRY, RetinaNet
from detectron2.structures import Boxes
from torch import Tensor, nn

from sampling_free.detectron2.one_stage import OneStage
from sampling_free.detectron2.yacs import dense_choices
from sampling_free.mechanism import LossScaling
from sampling_free.mechanism.normalization import BatchLoss, check_normalizer, reduction_of


@META_ARCH_REGISTRY.register()
class SamplingFreeRetinaNet(OneStage, RetinaNet):
    """A `RetinaNet` whose losses, normaliser and loss scale are objects.

    Parameters, calls, loss names and detections are detectron2's. Bias and score threshold are those of the head and
    the config until `fit_prior` computes them from data.

    Args:
        classification_loss: default `SigmoidCrossEntropy()`.
        box_loss: on encoded boxes, such as `GHMR()`; default detectron2's own.
        normalizer: what losses are divided by; default `PerForeground()`. detectron2's own is
            `PerForeground(count=MovingForegroundNormalizer(100))`.
        scaling: of the classification loss; default `LearnedScaling()` (v2).
        host: what detectron2's `RetinaNet` takes; `focal_loss_alpha` and `focal_loss_gamma` are idle.

    Raises:
        UserError: a choice makes no sense here.
    """

    @configurable
    def __init__(
        self,
        *,
        classification_loss: nn.Module | None = None,
        box_loss: nn.Module | None = None,
        normalizer: nn.Module | None = None,
        scaling: LossScaling | None = None,
        **host: Any,
    ) -> None:
        super().__init__(**host)
        self._add_parts(classification_loss, box_loss, normalizer, scaling)
        check_normalizer(self.normalizer, "dense", "RetinaNet")

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Arguments from a yacs config; see `add_sampling_free_config`."""
        return super().from_config(cfg) | dense_choices(cfg)

    def losses(
        self,
        anchors: list[Boxes],
        pred_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """The losses `loss_cls` and `loss_box_reg`, scaled, and the scale's regulariser if it has one.

        Args:
            anchors: per level.
            pred_logits: per level the raw map `(N, A*C, H, W)`, unlike detectron2's.
            gt_labels: per image `(R,)`.
            pred_anchor_deltas: per level `(N, H*W*A, 4)`.
            gt_boxes: per image `(R, 4)`, the matched boxes.
        """
        labels = torch.stack(gt_labels)
        foreground = (labels >= 0) & (labels < self.num_classes)

        def classification(images: slice) -> Tensor:
            return self.classification_loss([level[images] for level in pred_logits], labels[images], self.num_classes)

        def localization(images: slice) -> Tensor:
            deltas = [level[images] for level in pred_anchor_deltas]
            return self._box_loss(anchors, deltas, gt_boxes[images], foreground[images])

        num_foreground = foreground.sum(dim=1)
        loss_cls, loss_box_reg = self.normalizer.dense(
            num_foreground,
            BatchLoss(classification, reduction_of(self.classification_loss)),
            BatchLoss(localization, reduction_of(self.box_loss)),
        )
        return self._scaled(
            {"loss_cls": loss_cls, "loss_box_reg": loss_box_reg}, "loss_cls", "loss_box_reg", num_foreground
        )

    def _box_loss(
        self, anchors: list[Boxes], deltas: list[Tensor], gt_boxes: list[Tensor], foreground: Tensor
    ) -> Tensor:
        """The box loss of the foreground `(N, R)` of N images: a sum, or an average if the loss is one."""
        if self.box_loss is None:
            return _dense_box_regression_loss(
                anchors,
                self.box2box_transform,
                deltas,
                gt_boxes,
                foreground,
                box_reg_loss_type=self.box_reg_loss_type,
                smooth_l1_beta=self.smooth_l1_beta,
            )
        every = Boxes.cat(anchors).tensor
        places = foreground.nonzero(as_tuple=True)
        encoded = self.box2box_transform.get_deltas(  # type: ignore[operator, union-attr]
            every[places[1]], torch.stack(gt_boxes)[places]
        )
        return self.box_loss(torch.cat(deltas, dim=1)[places], encoded)
