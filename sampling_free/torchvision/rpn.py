"""torchvision's region proposal network, trained on every anchor. Letters: N images, R anchors of an image."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, concat_box_prediction_layers

from sampling_free.boxes import best_overlap
from sampling_free.heuristics.applicable import check_sampling
from sampling_free.mechanism import Evidence, ExampleChoice, ForegroundStatistics, LossScaling, Predictions
from sampling_free.mechanism.normalization import ExampleCounts, check_normalizer
from sampling_free.torchvision.inherited import inherited
from sampling_free.torchvision.structures import Target, all_labelled, ground_truth, objectness_labels, take_over


class SamplingFreeRPN(RegionProposalNetwork):
    """A `RegionProposalNetwork` whose examples, normaliser and loss scale are objects.

    The loss is torchvision's own cross-entropy.

    Args:
        host: torchvision's, whose parts and settings it takes; its sampler is idle.
        sampling: which anchors train.
        normalizer: what losses are divided by.
        scaling: of the classification loss.
        boundary_threshold: see `make_sampling_free`.

    Raises:
        UserError: `host` is none of torchvision's, or a choice makes no sense here.
    """

    host_forward = inherited(RegionProposalNetwork.forward)

    def __init__(
        self,
        host: nn.Module,
        *,
        sampling: ExampleChoice,
        normalizer: nn.Module,
        scaling: LossScaling,
        boundary_threshold: float,
    ) -> None:
        nn.Module.__init__(self)
        take_over(self, host, RegionProposalNetwork)
        check_normalizer(normalizer, "sampled", "a region proposal network")
        check_sampling(sampling, "rpn")
        self.host_sampler = host.fg_bg_sampler
        self.fg_bg_sampler = all_labelled
        self.sampling = sampling
        self.normalizer: Any = normalizer
        self.scaling = scaling
        self.statistics = ForegroundStatistics(0, 0, 1)
        self.boundary_threshold = boundary_threshold

    def forward(
        self, images: ImageList, features: dict[str, Tensor], targets: list[Target] | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Proposals, and in training `loss_objectness` and `loss_rpn_box_reg`, scaled; see torchvision."""
        if not self.training:
            return self.host_forward(images, features, targets)
        assert targets is not None, "targets should not be None"
        return self._forward_training(images, features, targets)

    @torch.jit.unused
    def _forward_training(
        self, images: ImageList, features: dict[str, Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        maps = list(features.values())
        objectness, deltas = self.head(maps)
        anchors = self.anchor_generator(images, maps)
        per_level = [level[0].numel() for level in objectness]
        objectness, deltas = concat_box_prediction_layers(objectness, deltas)
        decoded = self.box_coder.decode(deltas.detach(), anchors).view(len(anchors), -1, 4)
        proposals, _ = self.filter_proposals(decoded, objectness, images.image_sizes, per_level)
        labels, boxes = self.label_anchors(anchors, targets, images.image_sizes)
        labels = self._chosen(objectness.view(len(anchors), -1), labels, anchors, targets)
        return proposals, self.losses(objectness, deltas, labels, self.box_coder.encode(boxes, anchors))

    def label_anchors(
        self, anchors: list[Tensor], targets: list[Target], image_sizes: list[tuple[int, int]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """torchvision's labels `(R,)` (1, 0, -1 ignored) and boxes `(R, 4)` of each image.

        Anchors beyond the image's edge by more than `boundary_threshold` pixels are ignored too, unless it is negative.
        """
        labels, boxes = self.assign_targets_to_anchors(anchors, targets)
        if self.boundary_threshold >= 0:
            for of_image, places, size in zip(labels, anchors, image_sizes, strict=True):
                of_image[beyond_edge(places, size, self.boundary_threshold)] = -1
        return labels, boxes

    @torch.no_grad()
    def _chosen(
        self, logits: Tensor, labels: list[Tensor], anchors: list[Tensor], targets: list[Target]
    ) -> list[Tensor]:
        """torchvision's labels of each image with the anchors that do not train set to -1."""
        kept = []
        for of_image, said, places, truth in zip(labels, logits.float(), anchors, ground_truth(targets), strict=True):
            evidence = Evidence(partial(_predictions, said, of_image), partial(best_overlap, places, truth))
            kinds = self.sampling(objectness_labels(of_image), 1, evidence)
            kept.append(objectness_labels(kinds).to(of_image.dtype))
        return kept

    def losses(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> dict[str, Tensor]:
        """The losses `loss_objectness` and `loss_rpn_box_reg` of all labelled anchors, scaled.

        Arguments are those of torchvision's `compute_loss`.
        """
        self.statistics.remind()
        counts = ExampleCounts.of(objectness_labels(torch.cat(labels)), 1)
        loss_objectness, box_reg = self.compute_loss(objectness, pred_bbox_deltas, labels, regression_targets)
        loss_objectness, box_reg = self.normalizer.sampled(loss_objectness, box_reg, counts)
        losses = {"loss_objectness": loss_objectness, "loss_rpn_box_reg": box_reg}
        return self.scaling(losses, "loss_objectness", "loss_rpn_box_reg", **counts.logged(box_reg))


def beyond_edge(anchors: Tensor, image_size: tuple[int, int], threshold: float) -> Tensor:
    """Which anchors `(R, 4)` reach out of an image of (height, width) by more than a threshold in pixels, `(R,)`."""
    height, width = image_size
    left, top, right, bottom = anchors.unbind(dim=1)
    return (left < -threshold) | (top < -threshold) | (right >= width + threshold) | (bottom >= height + threshold)


def _predictions(logits: Tensor, labels: Tensor) -> Predictions:
    return Predictions(F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0), reduction="none"))
