"""torchvision's FCOS head, trained on every point. Letters: N images, L levels, R points, C classes."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import generalized_box_iou_loss

from sampling_free.errors import UserError
from sampling_free.heuristics.applicable import check_dense_losses
from sampling_free.mechanism import ForegroundStatistics, LossScaling
from sampling_free.mechanism.normalization import PerForeground, check_normalizer, over, reduction_of
from sampling_free.torchvision.inherited import inherited
from sampling_free.torchvision.structures import Target, labels_of_matches, take_over


class SamplingFreeFCOSHead(FCOSHead):
    """An `FCOSHead` whose classification loss, normaliser and loss scale are objects.

    Centerness keeps its own weight and does not guide classification, as in the papers' first code; `FrozenScaling`
    weights it too, as in the later one.

    Args:
        host: torchvision's, whose parts it takes.
        classification_loss: such as `SigmoidCrossEntropy()`.
        box_loss: refused, but None: FCOS trains its boxes by GIoU.
        normalizer: what losses are divided by, a `PerForeground`.
        scaling: of the classification loss.

    Raises:
        UserError: `host` is none of torchvision's, or a choice makes no sense here.
    """

    host_forward = inherited(FCOSHead.forward)

    def __init__(
        self,
        host: nn.Module,
        *,
        classification_loss: nn.Module,
        box_loss: nn.Module | None,
        normalizer: nn.Module,
        scaling: LossScaling,
    ) -> None:
        nn.Module.__init__(self)
        take_over(self, host, FCOSHead)
        check_normalizer(normalizer, "dense", "FCOS")
        check_dense_losses(classification_loss, box_loss, "FCOS", boxes_by="IoU")
        if not isinstance(normalizer, PerForeground):
            raise UserError(f"FCOS takes normalizer=PerForeground(), which is torchvision's own too, not {normalizer}")
        self.classification_loss = classification_loss
        self.normalizer = normalizer
        self.scaling = scaling
        self.statistics = ForegroundStatistics(0, 0, self.num_classes)

    @property
    @torch.jit.unused
    def num_classes(self) -> int:
        """C, columns of the logits."""
        return self.classification_head.num_classes

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        """In training `cls_logits` is a list of L raw maps `(N, C, H, W)`; the rest as torchvision's."""
        return self._raw_outputs(x) if self.training else self.host_forward(x)

    @torch.jit.unused
    def _raw_outputs(self, x: list[Tensor]) -> dict[str, Tensor]:
        head = self.classification_head
        logits: Any = [head.cls_logits(head.conv(features)) for features in x]
        deltas, centerness = self.regression_head(x)
        return {"cls_logits": logits, "bbox_regression": deltas, "bbox_ctrness": centerness}

    @torch.jit.unused
    def compute_loss(
        self,
        targets: list[Target],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        """The losses `classification`, `bbox_regression`, `bbox_ctrness`, scaled, and a regulariser if there is one."""
        self.statistics.remind(self.classification_loss)
        labels = labels_of_matches(targets, matched_idxs, self.num_classes)
        num_foreground = torch.stack([(matches >= 0).sum() for matches in matched_idxs]).sum()
        divisor = self.normalizer.count(num_foreground)
        classification = self.classification_loss(head_outputs["cls_logits"], labels, self.num_classes)
        loss_box, loss_centerness = self._localization_losses(targets, head_outputs, anchors, matched_idxs)
        losses = {
            "classification": over(classification, divisor, reduction_of(self.classification_loss)),
            "bbox_regression": loss_box / divisor * self.normalizer.localization_weight,
            "bbox_ctrness": loss_centerness / divisor,
        }
        counts = {"num_foreground": num_foreground, "num_examples": (labels >= 0).sum()}
        return self.scaling(losses, "classification", "bbox_regression", **counts)

    def _localization_losses(
        self,
        targets: list[Target],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Sums over the foreground of torchvision's box and centerness losses."""
        image, point = (torch.stack(matched_idxs) >= 0).nonzero(as_tuple=True)
        boxes = torch.cat([t["boxes"][m[m >= 0]] for t, m in zip(targets, matched_idxs, strict=True)])
        points = torch.stack(anchors)[image, point]
        predicted = self.box_coder.decode(head_outputs["bbox_regression"][image, point], points)
        loss_box = generalized_box_iou_loss(predicted, boxes, reduction="sum")
        left, top, right, bottom = self.box_coder.encode(points, boxes).unbind(dim=1)
        pairs = ((left, right), (top, bottom))
        across, down = (torch.minimum(*pair) / torch.maximum(*pair) for pair in pairs)
        centerness = head_outputs["bbox_ctrness"][image, point, 0]
        loss_centerness = F.binary_cross_entropy_with_logits(centerness, (across * down).sqrt(), reduction="sum")
        return loss_box, loss_centerness
