"""detectron2's RoI heads, trained on every proposal. Letters: R proposals of an image, C classes."""

from typing import Any

import torch
from detectron2.config import configurable
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, StandardROIHeads
from detectron2.structures import ImageList, Instances
from torch import Tensor, nn

from sampling_free.detectron2.checkpoints import load_without_parts
from sampling_free.detectron2.storage import log_scaling, some_storage
from sampling_free.detectron2.structures import Counts, check_classes, chosen, labels_of_matches
from sampling_free.detectron2.yacs import roi_choices
from sampling_free.mechanism import AllExamples, ExampleChoice, GuidedScaling, LossScaling, PerForeground

Losses = dict[str, Tensor]


@ROI_HEADS_REGISTRY.register()
class SamplingFreeROIHeads(StandardROIHeads):
    """`StandardROIHeads` (boxes, masks, keypoints) whose examples, normaliser and box loss scale are objects.

    The losses are detectron2's own; those of masks and keypoints are neither scaled nor guides, but see every
    foreground proposal. There is no bias initialisation: foreground is about one in ten here, and the papers do
    without. Their released code tests with a score threshold of 1e-3, which `make_sampling_free` sets.

    Args:
        sampling: which proposals train; default `AllExamples()`.
        normalizer: what losses are divided by; default `PerForeground(1/4)`, the released code's weight. detectron2's
            own is `PerExample()`.
        scaling: of the classification loss; default, as in v1 and the released code, `GuidedScaling(2)`.
        host: what detectron2's class takes; `batch_size_per_image` and `positive_fraction` are idle, but for a keypoint
            head that divides by them.
    """

    __jit_ignored_attributes__ = ["sampling", "normalizer", "scaling"]

    # under a name of our own, because TorchScript knows no super()
    _host_forward = StandardROIHeads.forward

    @configurable
    def __init__(
        self,
        *,
        sampling: ExampleChoice | None = None,
        normalizer: nn.Module | None = None,
        scaling: LossScaling | None = None,
        **host: Any,
    ) -> None:
        super().__init__(**host)
        self.sampling = sampling or AllExamples()
        self.normalizer: Any = normalizer or PerForeground(localization_weight=1 / 4)
        self.scaling = scaling or GuidedScaling(factor=2)
        self._counts: list[Counts] = []
        load_without_parts(self)

    @classmethod
    def from_config(cls, cfg: Any, input_shape: Any) -> dict[str, Any]:
        """Arguments from a yacs config; see `add_sampling_free_config`."""
        return super().from_config(cfg, input_shape) | roi_choices(cfg)

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None = None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        """Detections, or in training the proposals and detectron2's losses with those of boxes scaled."""
        if self.training:
            return self._forward_training(images, features, proposals, targets)
        return self._host_forward(images, features, proposals, targets)

    @torch.jit.unused
    def _forward_training(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        proposals: list[Instances],
        targets: list[Instances] | None,
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        self._counts = []
        with some_storage():
            proposals, losses = self._host_forward(images, features, proposals, targets)
        return proposals, self._scaled(losses)

    @torch.no_grad()
    def label_and_sample_proposals(self, proposals: list[Instances], targets: list[Instances]) -> list[Instances]:
        """detectron2's, after a look at the classes.

        Raises:
            UserError: a class is out of range.
        """
        check_classes(targets, self.num_classes)
        with some_storage():
            proposals = super().label_and_sample_proposals(proposals, targets)
        self._count(proposals)
        return proposals

    def _sample_proposals(
        self, matched_idxs: Tensor, matched_labels: Tensor, gt_classes: Tensor
    ) -> tuple[Tensor, Tensor]:
        labels = labels_of_matches(matched_idxs, matched_labels, gt_classes, self.num_classes)
        places = chosen(self.sampling, labels, self.num_classes)
        return places, labels[places]

    def _count(self, proposals: list[Instances]) -> None:
        self._counts.append(Counts.of(torch.cat([p.gt_classes for p in proposals]), self.num_classes))

    def _stages(self) -> list[tuple[str, Any]]:
        """Suffix of the loss names, and normaliser, of each box head."""
        return [("", self.normalizer)]

    def _scaled(self, losses: Losses) -> Losses:
        classification, localization, box_losses = [], [], {}
        for (suffix, normalizer), counts in zip(self._stages(), self._counts, strict=True):
            cls, loc = f"loss_cls{suffix}", f"loss_box_reg{suffix}"
            box_losses[cls], box_losses[loc] = normalizer.sampled(losses[cls], losses[loc], counts)
            classification.append(cls)
            localization.append(loc)
        scaled = self.scaling(box_losses, tuple(classification), tuple(localization))
        log_scaling(self.scaling, "roi_head")
        return scaled | {name: loss for name, loss in losses.items() if name not in box_losses}
