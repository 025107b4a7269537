"""torchvision's RetinaNet head, trained on every anchor.

Letters: N images, L levels, A anchors per place, C classes.
"""

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import _box_loss
from torchvision.models.detection.retinanet import RetinaNetHead

from sampling_free.mechanism import ForegroundStatistics, LossScaling
from sampling_free.torchvision.normalization import DenseNormalizer
from sampling_free.torchvision.structures import Target, labels_of_matches


class SamplingFreeRetinaNetHead(RetinaNetHead):
    """A `RetinaNetHead` whose classification loss, normaliser and loss scale are objects.

    In training its classification logits stay the raw maps that the convolution left. `make_sampling_free` turns a
    `RetinaNetHead` into one; parameters, calls and loss names are torchvision's.
    """

    classification_loss: nn.Module
    normalizer: DenseNormalizer
    scaling: LossScaling
    statistics: ForegroundStatistics

    @property
    def num_classes(self) -> int:
        """C, columns of the logits; torchvision's count includes a background column that is never positive."""
        return self.classification_head.num_classes

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        """In training `cls_logits` is a list of L raw maps `(N, A*C, H, W)`; the rest as torchvision's."""
        if not self.training:
            return super().forward(x)
        head = self.classification_head
        return {"cls_logits": [head.cls_logits(head.conv(f)) for f in x], "bbox_regression": self.regression_head(x)}

    def compute_loss(
        self,
        targets: list[Target],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        """The losses `classification` and `bbox_regression`, scaled, and the scale's regulariser if it has one."""
        labels = labels_of_matches(targets, matched_idxs, self.num_classes)
        logits, deltas = head_outputs["cls_logits"], head_outputs["bbox_regression"]

        def classification(image: int | None) -> Tensor:
            if image is None:
                return self.classification_loss(logits, labels, self.num_classes)
            one = slice(image, image + 1)
            return self.classification_loss([level[one] for level in logits], labels[one], self.num_classes)

        def localization(image: int | None) -> Tensor:
            if image is None:
                return torch.stack([localization(i) for i in range(len(targets))]).sum()
            foreground = torch.where(matched_idxs[image] >= 0)[0]
            return _box_loss(
                self.regression_head._loss_type,
                self.regression_head.box_coder,
                anchors[image][foreground],
                targets[image]["boxes"][matched_idxs[image][foreground]],
                deltas[image, foreground],
            )

        num_foreground = torch.stack([(matches >= 0).sum() for matches in matched_idxs])
        loss_cls, loss_box = self.normalizer.dense(num_foreground, classification, localization)
        losses = {"classification": loss_cls, "bbox_regression": loss_box}
        scaled = self.scaling(losses, "classification", "bbox_regression")
        self.scaling.last["num_foreground"] = num_foreground.sum()
        return scaled
