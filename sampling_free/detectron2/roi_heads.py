"""detectron2's RoI heads, trained on every proposal. Letters: R proposals of an image, C classes."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.config import configurable
from detectron2.modeling.proposal_generator.proposal_utils import add_ground_truth_to_proposals
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, StandardROIHeads
from detectron2.structures import ImageList, Instances
from torch import Tensor, nn

from sampling_free.detectron2.checkpoints import load_without_parts
from sampling_free.detectron2.evidence import BatchEvidence, BoxHead, weighted_loss
from sampling_free.detectron2.storage import log_scaling, some_storage
from sampling_free.detectron2.structures import Counts, check_classes, chosen, labels_of_matches
from sampling_free.detectron2.torchscript import under_name
from sampling_free.detectron2.yacs import roi_choices
from sampling_free.errors import UserError
from sampling_free.heuristics import OnlineHardExamples
from sampling_free.heuristics.applicable import check_sampling
from sampling_free.heuristics.recorded import Recorded
from sampling_free.mechanism import (
    AllExamples,
    ExampleChoice,
    GuidedScaling,
    LossScaling,
    PerForeground,
    WeightedChoice,
)
from sampling_free.mechanism.normalization import check_normalizer

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Trained:
    """What one box head trains on.

    Attributes:
        proposals: of each image.
        counts: of them.
        weights: `(M,)`, of their classification losses, where the choice has any.
    """

    proposals: list[Instances]
    counts: Counts
    weights: Tensor | None


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

    Raises:
        UserError: a choice makes no sense here.
    """

    __jit_ignored_attributes__ = ["sampling", "normalizer", "scaling"]

    _host_forward = under_name("_host_forward", StandardROIHeads.forward)
    _kind = "roi"  # for what makes sense here

    # detectron2 says so of its own class when it exports, which the annotations below would hide from TorchScript
    mask_on: torch.jit.Final[bool]  # type: ignore[misc]
    keypoint_on: torch.jit.Final[bool]  # type: ignore[misc]

    _features: dict[str, Tensor]  # of this batch
    _evidence: Iterator[tuple[int, BatchEvidence]]  # of the images whose proposals are still to be chosen
    _weights: list[Tensor | None]  # of the images whose proposals have been

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
        check_normalizer(self.normalizer, "sampled", "an RoI head")
        self.scaling = scaling or GuidedScaling(factor=2)
        self._trained: list[Trained] = []
        check_sampling(self.sampling, self._kind)
        self._check_loss()
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
        self._trained, self._features = [], features
        with some_storage(), ExitStack() as stack:
            predictors = [stack.enter_context(Recorded(predictor)) for predictor in self._predictors()]
            proposals, losses = self._host_forward(images, features, proposals, targets)
        for (suffix, _), predictor, trained in zip(self._stages(), predictors, self._trained, strict=True):
            choice = self._choice()
            if isinstance(choice, WeightedChoice) and trained.weights is not None:
                losses[f"loss_cls{suffix}"] = weighted_loss(
                    choice, predictor.module, predictor.output, trained.proposals, trained.weights
                )
        losses = self._scaled(losses)
        self._trained = []
        del self._features  # large, as what was trained on
        return proposals, losses

    @torch.no_grad()
    def label_and_sample_proposals(self, proposals: list[Instances], targets: list[Instances]) -> list[Instances]:
        """detectron2's, after a look at the classes.

        Raises:
            UserError: a class is out of range.
        """
        check_classes(targets, self.num_classes)

        def candidates() -> list[Instances]:
            return add_ground_truth_to_proposals(targets, proposals) if self.proposal_append_gt else proposals

        evidence = BatchEvidence(self._box_head(0), candidates, targets)
        self._evidence, self._weights = ((image, evidence) for image in range(len(targets))), []
        with some_storage():
            sampled = super().label_and_sample_proposals(proposals, targets)
        self._keep(sampled)
        return sampled

    def _sample_proposals(
        self, matched_idxs: Tensor, matched_labels: Tensor, gt_classes: Tensor
    ) -> tuple[Tensor, Tensor]:
        labels = labels_of_matches(matched_idxs, matched_labels, gt_classes, self.num_classes)
        image, evidence = next(self._evidence)
        places, weights = chosen(self._choice(), labels, self.num_classes, evidence.of(image, labels))
        self._weights.append(weights)
        return places, labels[places]

    def _keep(self, proposals: list[Instances]) -> None:
        """Note what the next box head trains on."""
        counts = Counts.of(torch.cat([p.gt_classes for p in proposals]), self.num_classes)
        weights = [weight for weight in self._weights if weight is not None]
        self._trained.append(Trained(proposals, counts, torch.cat(weights) if weights else None))
        self._weights = []

    def _choice(self) -> ExampleChoice:
        """Which proposals train."""
        return self.sampling

    def _predictors(self) -> list[Any]:
        """What predicts classes and boxes, stage by stage."""
        return [self.box_predictor]

    def _box_head(self, stage: int) -> BoxHead:
        return BoxHead(self.box_predictor, self._predict)

    def _predict(self, proposals: list[Instances]) -> tuple[Tensor, Tensor]:
        features = [self._features[name] for name in self.box_in_features]
        pooled = self.box_pooler(features, [of_image.proposal_boxes for of_image in proposals])
        return self.box_predictor(self.box_head(pooled))

    def _check_loss(self) -> None:
        sigmoid = any(getattr(predictor, "use_sigmoid_ce", False) for predictor in self._predictors())
        choice = self._choice()
        if sigmoid and isinstance(choice, WeightedChoice | OnlineHardExamples):
            raise UserError(
                f"{type(choice).__name__} ranks softmax cross-entropies, but the box predictor has "
                f"use_sigmoid_ce=True; choose another sampling= or set that to False"
            )

    def _stages(self) -> list[tuple[str, Any]]:
        """Suffix of the loss names, and normaliser, of each box head."""
        return [("", self.normalizer)]

    def _scaled(self, losses: Losses) -> Losses:
        classification, localization, box_losses = [], [], {}
        for (suffix, normalizer), trained in zip(self._stages(), self._trained, strict=True):
            cls, loc = f"loss_cls{suffix}", f"loss_box_reg{suffix}"
            box_losses[cls], box_losses[loc] = normalizer.sampled(losses[cls], losses[loc], trained.counts)
            classification.append(cls)
            localization.append(loc)
        scaled = self.scaling(box_losses, tuple(classification), tuple(localization))
        log_scaling(self.scaling, "roi_head")
        return scaled | {name: loss for name, loss in losses.items() if name not in box_losses}
