"""torchvision's RetinaNet head, trained on every anchor.

Letters: N images, L levels, A anchors per place, C classes.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import _box_loss
from torchvision.models.detection.retinanet import RetinaNetHead

from sampling_free.heuristics.applicable import check_dense_losses
from sampling_free.mechanism import ForegroundStatistics, LossScaling
from sampling_free.mechanism.normalization import BatchLoss, check_normalizer, reduction_of
from sampling_free.torchvision.inherited import inherited
from sampling_free.torchvision.structures import Target, labels_of_matches, take_over

Foreground = tuple[Tensor, Tensor, Tensor]


class SamplingFreeRetinaNetHead(RetinaNetHead):
    """A `RetinaNetHead` whose losses, normaliser and loss scale are objects.

    In training its classification logits stay the raw maps that the convolution left. Parameters, calls and loss names
    are torchvision's.

    Args:
        host: torchvision's, whose parts it takes.
        classification_loss: such as `SigmoidCrossEntropy()`.
        box_loss: on encoded boxes, such as `GHMR()`; None is torchvision's own.
        normalizer: what losses are divided by.
        scaling: of the classification loss.

    Raises:
        UserError: `host` is none of torchvision's, or a choice makes no sense here.
    """

    host_forward = inherited(RetinaNetHead.forward)

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
        take_over(self, host, RetinaNetHead)
        check_normalizer(normalizer, "dense", "RetinaNet")
        check_dense_losses(classification_loss, box_loss, "RetinaNet")
        self.classification_loss = classification_loss
        self.box_loss = box_loss
        self.normalizer: Any = normalizer
        self.scaling = scaling
        self.statistics = ForegroundStatistics(0, 0, self.num_classes)

    @property
    @torch.jit.unused
    def num_classes(self) -> int:
        """C, columns of the logits; torchvision's count includes a background column that is never positive."""
        return self.classification_head.num_classes

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        """In training `cls_logits` is a list of L raw maps `(N, A*C, H, W)`; the rest as torchvision's."""
        return self._raw_outputs(x) if self.training else self.host_forward(x)

    @torch.jit.unused
    def _raw_outputs(self, x: list[Tensor]) -> dict[str, Tensor]:
        head = self.classification_head
        logits: Any = [head.cls_logits(head.conv(features)) for features in x]
        return {"cls_logits": logits, "bbox_regression": self.regression_head(x)}

    @torch.jit.unused
    def compute_loss(
        self,
        targets: list[Target],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        """The losses `classification` and `bbox_regression`, scaled, and the scale's regulariser if it has one."""
        self.statistics.remind(self.classification_loss)
        labels = labels_of_matches(targets, matched_idxs, self.num_classes)
        logits, deltas = head_outputs["cls_logits"], head_outputs["bbox_regression"]

        def classification(images: slice) -> Tensor:
            return self.classification_loss([level[images] for level in logits], labels[images], self.num_classes)

        def localization(images: slice) -> Tensor:
            places = range(len(targets))[images]
            return self._box_loss([_foreground(targets[i], anchors[i], matched_idxs[i], deltas[i]) for i in places])

        num_foreground = torch.stack([(matches >= 0).sum() for matches in matched_idxs])
        loss_cls, loss_box = self.normalizer.dense(
            num_foreground,
            BatchLoss(classification, reduction_of(self.classification_loss)),
            BatchLoss(localization, reduction_of(self.box_loss)),
        )
        losses = {"classification": loss_cls, "bbox_regression": loss_box}
        counts = {"num_foreground": num_foreground.sum(), "num_examples": (labels >= 0).sum()}
        return self.scaling(losses, "classification", "bbox_regression", **counts)

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
