"""torchvision's region proposal network, trained on every anchor. Letters: N images, R anchors of an image."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork

from sampling_free.boxes import best_overlap
from sampling_free.mechanism import Evidence, ForegroundStatistics, LossScaling, Predictions
from sampling_free.mechanism.normalization import SampledNormalizer
from sampling_free.torchvision.structures import Sampler, Target, ground_truth


class SamplingFreeRPN(RegionProposalNetwork):
    """A `RegionProposalNetwork` whose examples, normaliser and loss scale are objects.

    The loss is torchvision's own cross-entropy. `make_sampling_free` turns a `RegionProposalNetwork` into one.
    """

    fg_bg_sampler: Sampler
    normalizer: SampledNormalizer
    scaling: LossScaling
    statistics: ForegroundStatistics
    boundary_threshold: float

    _overlaps: list[partial[tuple[Tensor, Tensor]]]  # of each image's anchors with its boxes, not yet computed

    def forward(
        self, images: ImageList, features: dict[str, Tensor], targets: list[Target] | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Proposals, and in training `loss_objectness` and `loss_rpn_box_reg`, scaled; see torchvision."""
        if targets is not None:
            targets = [
                target | {"image_size": target["boxes"].new_tensor(size)}
                for target, size in zip(targets, images.image_sizes, strict=True)
            ]
        proposals, losses = super().forward(images, features, targets)
        if losses:
            losses = self._scaled(**losses)
        return proposals, losses

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """torchvision's labels `(R,)` (1, 0, -1 ignored) and boxes `(R, 4)`.

        Anchors beyond the image's edge by more than `boundary_threshold` pixels are ignored too, unless it is negative.
        """
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        if self.boundary_threshold >= 0:
            for label, anchor, target in zip(labels, anchors, targets, strict=True):
                label[self._straddles(anchor, target["image_size"])] = -1
        self._overlaps = [partial(best_overlap, *pair) for pair in zip(anchors, ground_truth(targets), strict=True)]
        return labels, boxes

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """torchvision's losses of the anchors that train; arguments as torchvision's."""
        logits = objectness.detach().float().view(len(labels), -1)
        self.fg_bg_sampler.evidence = [
            Evidence(partial(_predictions, *pair), overlap)
            for *pair, overlap in zip(logits, labels, self._overlaps, strict=True)
        ]
        return super().compute_loss(objectness, pred_bbox_deltas, labels, regression_targets)

    def _straddles(self, anchors: Tensor, image_size: Tensor) -> Tensor:
        height, width = image_size
        t = self.boundary_threshold
        left, top, right, bottom = anchors.unbind(dim=1)
        return (left < -t) | (top < -t) | (right >= width + t) | (bottom >= height + t)

    def _scaled(self, loss_objectness: Tensor, loss_rpn_box_reg: Tensor) -> dict[str, Tensor]:
        objectness, box_reg = self.normalizer.sampled(loss_objectness, loss_rpn_box_reg, self.fg_bg_sampler)
        losses = {"loss_objectness": objectness, "loss_rpn_box_reg": box_reg}
        scaled = self.scaling(losses, "loss_objectness", "loss_rpn_box_reg")
        self.scaling.last["num_foreground"] = box_reg.new_tensor(self.fg_bg_sampler.num_foreground)
        self.scaling.last["num_examples"] = box_reg.new_tensor(self.fg_bg_sampler.num_examples)
        return scaled


def _predictions(logits: Tensor, labels: Tensor) -> Predictions:
    return Predictions(F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0), reduction="none"))
