"""torchvision's FCOS head, trained on every point. Letters: N images, L levels, R points, C classes."""

import torch
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOSHead

from sampling_free.mechanism import ForegroundStatistics, LossScaling
from sampling_free.mechanism.normalization import PerForeground, over, sum_of
from sampling_free.torchvision.structures import Target, labels_of_matches


class SamplingFreeFCOSHead(FCOSHead):
    """An `FCOSHead` whose classification loss, normaliser and loss scale are objects.

    Centerness keeps its own weight and does not guide classification, as in the papers' first code; `FrozenScaling`
    weights it too, as in the later one. `make_sampling_free` turns an `FCOSHead` into one.
    """

    classification_loss: nn.Module
    normalizer: PerForeground
    scaling: LossScaling
    statistics: ForegroundStatistics

    @property
    def num_classes(self) -> int:
        """C, columns of the logits."""
        return self.classification_head.num_classes

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        """In training `cls_logits` is a list of L raw maps `(N, C, H, W)`; the rest as torchvision's."""
        if not self.training:
            return super().forward(x)
        head = self.classification_head
        deltas, centerness = self.regression_head(x)
        return {
            "cls_logits": [head.cls_logits(head.conv(f)) for f in x],
            "bbox_regression": deltas,
            "bbox_ctrness": centerness,
        }

    def compute_loss(
        self,
        targets: list[Target],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        """The losses `classification`, `bbox_regression`, `bbox_ctrness`, scaled, and a regulariser if there is one."""
        labels = labels_of_matches(targets, matched_idxs, self.num_classes)
        num_foreground = torch.stack([(matches >= 0).sum() for matches in matched_idxs])
        divisor = self.normalizer.count(num_foreground.sum())
        own = self._localization_losses(targets, head_outputs, anchors, matched_idxs)

        def classification(_: int | None) -> Tensor:
            return self.classification_loss(head_outputs["cls_logits"], labels, self.num_classes)

        rescale = num_foreground.sum().clamp(min=1) / divisor  # torchvision divides by this process's own count
        losses = {
            "classification": over(sum_of(self.classification_loss, classification), divisor),
            "bbox_regression": own["bbox_regression"] * rescale * self.normalizer.localization_weight,
            "bbox_ctrness": own["bbox_ctrness"] * rescale,
        }
        scaled = self.scaling(losses, "classification", "bbox_regression")
        self.scaling.last["num_foreground"] = num_foreground.sum()
        self.scaling.last["num_examples"] = (labels >= 0).sum()
        return scaled

    def _localization_losses(
        self,
        targets: list[Target],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        """torchvision's own box and centerness losses; its Focal Loss runs on one idle column, which costs nothing."""
        one_class = [target | {"labels": torch.zeros_like(target["labels"])} for target in targets]
        outputs = head_outputs | {"cls_logits": head_outputs["bbox_ctrness"].detach()}
        return super().compute_loss(one_class, outputs, anchors, matched_idxs)
