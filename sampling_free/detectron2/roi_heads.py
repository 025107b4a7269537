"""detectron2's RoI heads, trained on every proposal. Letters: R proposals of an image, C classes."""

from contextlib import nullcontext
from typing import Any

import torch
from detectron2.config import configurable
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, StandardROIHeads
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage, get_event_storage
from torch import Tensor, nn

from sampling_free import recipe
from sampling_free.detectron2.checkpoints import load_without_parts
from sampling_free.detectron2.evidence import BatchEvidence, weighted_loss
from sampling_free.detectron2.storage import log_scaling, some_storage
from sampling_free.detectron2.structures import check_classes, labels_of_matches
from sampling_free.detectron2.yacs import roi_choices
from sampling_free.errors import UserError
from sampling_free.heuristics import OnlineHardExamples
from sampling_free.heuristics.applicable import check_sampling
from sampling_free.heuristics.sampling import chosen
from sampling_free.mechanism import (
    ExampleChoice,
    LossScaling,
    WeightedChoice,
)
from sampling_free.mechanism.normalization import ExampleCounts, check_normalizer
from sampling_free.recipe import completed

Losses = dict[str, Tensor]
Output = tuple[tuple[Tensor, Tensor], list[Instances]]  # what a box predictor said, and of which proposals


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

    __jit_ignored_attributes__ = ["sampling"]

    _kind = "roi"  # for what makes sense here

    # detectron2 says so of its own class when it exports, which the annotations below would hide from TorchScript
    mask_on: torch.jit.Final[bool]  # type: ignore[misc]
    keypoint_on: torch.jit.Final[bool]  # type: ignore[misc]

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
        parts = completed(recipe.ROI, sampling=sampling, normalizer=normalizer, scaling=scaling)
        self.sampling: ExampleChoice = parts["sampling"]
        self.normalizer: Any = parts["normalizer"]
        self.scaling: LossScaling = parts["scaling"]
        check_normalizer(self.normalizer, "sampled", "an RoI head")
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
            return self._forward_training(features, proposals, targets)
        found = self._forward_box(features, proposals)
        return self.forward_with_given_boxes(features, found), {}

    @torch.jit.unused
    def _forward_training(
        self, features: dict[str, Tensor], proposals: list[Instances], targets: list[Instances] | None
    ) -> tuple[list[Instances], dict[str, Tensor]]:
        assert targets, "'targets' argument is required during training"
        with some_storage():
            proposals = self.label_and_sample_proposals(proposals, targets)
            maps = [features[name] for name in self.box_in_features]
            proposals = self._chosen(maps, proposals, targets, stage=0)
            losses = self._box_losses(maps, proposals, targets)
            losses.update(self._forward_mask(features, proposals))
            losses.update(self._forward_keypoint(features, proposals))
        return proposals, losses

    @torch.no_grad()
    def label_and_sample_proposals(self, proposals: list[Instances], targets: list[Instances]) -> list[Instances]:
        """detectron2's, but all labelled proposals come back: they are chosen where there are features to choose by.

        `gt_index` is the place of each proposal's object in its image.

        Raises:
            UserError: a class is out of range.
        """
        check_classes(targets, self.num_classes)
        # detectron2 hands every field named gt_* of an object to its proposals
        numbered = []
        for of_image in targets:
            index = torch.arange(len(of_image), device=of_image.gt_classes.device)
            numbered.append(Instances(of_image.image_size, **of_image.get_fields(), gt_index=index))
        with EventStorage():  # detectron2 would log them all as chosen
            return super().label_and_sample_proposals(proposals, numbered)

    def _sample_proposals(
        self, matched_idxs: Tensor, matched_labels: Tensor, gt_classes: Tensor
    ) -> tuple[Tensor, Tensor]:
        labels = labels_of_matches(matched_idxs, matched_labels, gt_classes, self.num_classes)
        return torch.arange(len(labels), device=labels.device), labels

    @torch.no_grad()
    def _chosen(
        self, features: list[Tensor], proposals: list[Instances], targets: list[Instances], stage: int
    ) -> list[Instances]:
        """The proposals of each image that train, with `loss_weights` where the choice has any."""

        def predict() -> tuple[Tensor, Tensor]:
            return self._predict(features, proposals, stage)

        evidence = BatchEvidence(self._predictors()[stage], predict, proposals, targets)
        kept = []
        for image, of_image in enumerate(proposals):
            labels = of_image.gt_classes
            places, weights = chosen(self._choice(), labels, self.num_classes, evidence.of(image))
            kept.append(of_image[places])
            if weights is not None:
                kept[-1].loss_weights = weights
        return kept

    def _choice(self) -> ExampleChoice:
        """The rule that chooses the proposals that train."""
        return self.sampling

    def _predictors(self) -> list[Any]:
        """What predicts classes and boxes, stage by stage."""
        return [self.box_predictor]

    def _stages(self) -> list[tuple[str, Any]]:
        """Name, if there are several, and normaliser of each box head."""
        return [("", self.normalizer)]

    def _predict(self, features: list[Tensor], proposals: list[Instances], stage: int) -> tuple[Tensor, Tensor]:
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

    def _box_losses(self, features: list[Tensor], proposals: list[Instances], targets: list[Instances]) -> Losses:
        predictions = self._predict(features, proposals, stage=0)
        losses = self.losses([(predictions, proposals)])
        if self.train_on_pred_boxes:
            with torch.no_grad():
                regressed = self.box_predictor.predict_boxes_for_gt_classes(predictions, proposals)
            for of_image, boxes in zip(proposals, regressed, strict=True):
                of_image.proposal_boxes = Boxes(boxes)
        return losses

    def losses(self, outputs: list[Output]) -> Losses:
        """The losses of each box head, scaled, and the scale's regulariser if it has one.

        Args:
            outputs: stage by stage, what the box predictor said, logits `(M, C+1)` and deltas, of which proposals.
                Those are what trains, with `gt_classes`, `gt_boxes` and, where their losses are weighted, `gt_index`
                and `loss_weights`.
        """
        losses: Losses = {}
        names: list[tuple[str, str]] = []
        for (stage, normalizer), predictor, output in zip(self._stages(), self._predictors(), outputs, strict=True):
            suffix = f"_{stage}" if stage else ""
            counts = ExampleCounts.of(torch.cat([of_image.gt_classes for of_image in output[1]]), self.num_classes)
            if not names:  # those of later stages detectron2 logs where it labels them
                _log_counts(counts, len(output[1]))
            with get_event_storage().name_scope(stage) if stage else nullcontext():
                of_stage = self._losses_of_stage(predictor, *output)
            cls, box_reg = f"loss_cls{suffix}", f"loss_box_reg{suffix}"
            losses |= {f"{name}{suffix}": loss for name, loss in of_stage.items()}
            losses[cls], losses[box_reg] = normalizer.sampled(losses[cls], losses[box_reg], counts)
            names.append((cls, box_reg))
        classification, localization = zip(*names, strict=True)
        own = {name: losses.pop(name) for pair in names for name in pair}
        scaled = self.scaling(own, classification, localization)
        log_scaling(self.scaling.last, "roi_head")
        return scaled | losses

    def _losses_of_stage(
        self, predictor: Any, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
    ) -> Losses:
        """detectron2's, with the weights of the choice if it has any."""
        losses = predictor.losses(predictions, proposals)
        choice = self._choice()
        if isinstance(choice, WeightedChoice) and proposals[0].has("loss_weights"):
            losses["loss_cls"] = weighted_loss(choice, predictor, predictions, proposals)
        return losses


def _log_counts(counts: ExampleCounts, num_images: int) -> None:
    """What detectron2 logs of the proposals that it sampled."""
    storage = get_event_storage()
    storage.put_scalar("roi_head/num_fg_samples", counts.num_foreground / num_images)
    storage.put_scalar("roi_head/num_bg_samples", (counts.num_examples - counts.num_foreground) / num_images)
