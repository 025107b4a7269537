"""torchvision's RetinaNet head, trained on every anchor.

Letters: N images, L levels, A anchors per place, C classes.
"""

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import _box_loss
from torchvision.models.detection.retinanet import RetinaNetHead

from sampling_free.mechanism import ForegroundStatistics, LossScaling
from sampling_free.mechanism.normalization import DenseNormalizer, sum_of
from sampling_free.torchvision.structures import Target, labels_of_matches

Foreground = tuple[Tensor, Tensor, Tensor]


class SamplingFreeRetinaNetHead(RetinaNetHead):
    """A `RetinaNetHead` whose losses, normaliser and loss scale are objects.

    In training its classification logits stay the raw maps that the convolution left. `make_sampling_free` turns a
    `RetinaNetHead` into one; parameters, calls and loss names are torchvision's.
    """

    classification_loss: nn.Module
    box_loss: nn.Module | None
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
            part = slice(None) if image is None else slice(image, image + 1)
            return self.classification_loss([level[part] for level in logits], labels[part], self.num_classes)

        def localization(image: int | None) -> Tensor:
            images = range(len(targets)) if image is None else [image]
            foreground = [_foreground(targets[i], anchors[i], matched_idxs[i], deltas[i]) for i in images]
            return self._box_loss(foreground)

        num_foreground = torch.stack([(matches >= 0).sum() for matches in matched_idxs])
        loss_cls, loss_box = self.normalizer.dense(
            num_foreground, sum_of(self.classification_loss, classification), sum_of(self.box_loss, localization)
        )
        losses = {"classification": loss_cls, "bbox_regression": loss_box}
        scaled = self.scaling(losses, "classification", "bbox_regression")
        self.scaling.last["num_foreground"] = num_foreground.sum()
        self.scaling.last["num_examples"] = (labels >= 0).sum()
        return scaled

    def _box_loss(self, foreground: list[Foreground]) -> Tensor:
        """Of some images' foreground: a sum, or an average if the loss is one."""
        head = self.regression_head
        if self.box_loss is None:
            losses = [_box_loss(head._loss_type, head.box_coder, *of_image) for of_image in foreground]
            return torch.stack(losses).sum()
        anchors, boxes, deltas = (torch.cat(of_images) for of_images in zip(*foreground, strict=True))
        return self.box_loss(deltas, head.box_coder.encode_single(boxes, anchors))


def _foreground(target: Target, anchors: Tensor, matches: Tensor, deltas: Tensor) -> Foreground:
    """Anchors, ground-truth boxes and regressed deltas of one image's foreground."""
    places = torch.where(matches >= 0)[0]
    return anchors[places], target["boxes"][matches[places]], deltas[places]
