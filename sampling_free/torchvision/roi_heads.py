"""torchvision's RoI heads, trained on every proposal.

Letters: N images, R proposals of an image, M those of the batch that train, C classes.
"""

from collections.abc import Callable
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads

from sampling_free.boxes import best_overlap, paired_iou
from sampling_free.heuristics.recorded import Recorded
from sampling_free.mechanism import Evidence, LossScaling, Predictions, WeightedChoice
from sampling_free.mechanism.normalization import SampledNormalizer
from sampling_free.torchvision.structures import Sampler, Target, check_labels, ground_truth, proposal_labels

Samples = tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]


class SamplingFreeRoIHeads(RoIHeads):
    """`RoIHeads` (boxes, masks, keypoints) whose examples, normaliser and box loss scale are objects.

    The loss is torchvision's own softmax cross-entropy; mask and keypoint losses are neither scaled nor guides, but see
    every foreground proposal. There is no bias initialisation: foreground is about one in ten here, and the papers
    do without. `make_sampling_free` turns `RoIHeads` into one.
    """

    fg_bg_sampler: Sampler
    normalizer: SampledNormalizer
    scaling: LossScaling

    _inputs: tuple[dict[str, Tensor], list[tuple[int, int]]]  # feature maps and image sizes of this batch
    _samples: Samples

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[Target] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Detections, and in training torchvision's losses with `loss_classifier` scaled; see torchvision."""
        classifier = getattr(self.box_predictor, "cls_score", None)
        if targets is not None and classifier is not None:  # an own predictor may be built otherwise
            for target in targets:
                check_labels(target, classifier.out_features, lowest=1)  # 0 is the background
        self._inputs = features, image_shapes
        with Recorded(self.box_predictor) as predictor:
            detections, losses = super().forward(features, proposals, image_shapes, targets)
        if losses:
            choice, weights = self.fg_bg_sampler.examples, self.fg_bg_sampler.weights
            if isinstance(choice, WeightedChoice) and weights is not None:
                losses["loss_classifier"] = self._weighted(choice, weights, predictor.output, targets or [])
            losses = self._scaled(losses.pop("loss_classifier"), losses.pop("loss_box_reg")) | losses
        del self._inputs  # feature maps are large
        return detections, losses

    def assign_targets_to_proposals(
        self, proposals: list[Tensor], gt_boxes: list[Tensor], gt_labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """torchvision's matches and labels `(R,)`; what a choice of examples may want to know is laid ready."""
        matches, labels = super().assign_targets_to_proposals(proposals, gt_boxes, gt_labels)
        predictions = cache(partial(self._predictions, proposals, labels))
        self.fg_bg_sampler.evidence = [
            Evidence(partial(_at, predictions, image), partial(best_overlap, *pair))
            for image, pair in enumerate(zip(proposals, gt_boxes, strict=True))
        ]
        return matches, labels

    def select_training_samples(self, proposals: list[Tensor], targets: list[Target] | None) -> Samples:
        """torchvision's proposals, matches, labels and regression targets of what trains."""
        self._samples = super().select_training_samples(list(proposals), targets)
        return self._samples

    def _predictions(self, proposals: list[Tensor], labels: list[Tensor]) -> list[Predictions]:
        """What the box head says of all proposals, image by image."""
        features, image_shapes = self._inputs
        logits, deltas = self.box_predictor(self.box_head(self.box_roi_pool(features, proposals, image_shapes)))
        logits, every = logits.float(), torch.cat(labels)
        losses = F.cross_entropy(logits, every.clamp(min=0), reduction="none")
        scores, best = logits.softmax(dim=1)[:, 1:].max(dim=1)
        boxes = self._regressed(deltas, proposals, best + 1)
        split = [part.split([len(label) for label in labels]) for part in (losses, scores, boxes)]
        return [Predictions(*parts) for parts in zip(*split, strict=True)]

    def _regressed(self, deltas: Tensor, proposals: list[Tensor], classes: Tensor) -> Tensor:
        """Each proposal as regressed to one of torchvision's classes `(M,)`: `(M, 4)`."""
        boxes = self.box_coder.decode(deltas.float(), proposals)
        return boxes[torch.arange(len(boxes), device=boxes.device), classes]

    def _weighted(
        self, choice: WeightedChoice, drawn: Tensor, output: tuple[Tensor, Tensor], targets: list[Target]
    ) -> Tensor:
        """torchvision's classification loss with a choice's weights, those known since the draw and the later ones."""
        logits, deltas = output
        proposals, matches, labels, _ = self._samples
        every, num_classes = torch.cat(labels), logits.shape[1] - 1
        losses = F.cross_entropy(logits, every, reduction="none")
        with torch.no_grad():
            # an image without objects has a box that nothing is matched to, as torchvision's own code has
            objects = [boxes if len(boxes) else boxes.new_zeros(1, 4) for boxes in ground_truth(targets)]
            starts = torch.tensor([0] + [len(boxes) for boxes in objects[:-1]]).cumsum(0).tolist()
            instances = torch.cat([match + start for match, start in zip(matches, starts, strict=True)])
            ious = paired_iou(self._regressed(deltas, proposals, every), torch.cat(objects).float()[instances])
            kinds = proposal_labels(every, num_classes)
            later = choice.positive_weights(kinds, num_classes, instances, ious, losses)
        return (drawn * later * losses).mean()

    def _scaled(self, loss_classifier: Tensor, loss_box_reg: Tensor) -> dict[str, Tensor]:
        classifier, box_reg = self.normalizer.sampled(loss_classifier, loss_box_reg, self.fg_bg_sampler)
        losses = {"loss_classifier": classifier, "loss_box_reg": box_reg}
        scaled = self.scaling(losses, "loss_classifier", "loss_box_reg")
        self.scaling.last["num_foreground"] = box_reg.new_tensor(self.fg_bg_sampler.num_foreground)
        self.scaling.last["num_examples"] = box_reg.new_tensor(self.fg_bg_sampler.num_examples)
        return scaled


def _at(predictions: Callable[[], list[Predictions]], image: int) -> Predictions:
    return predictions()[image]
