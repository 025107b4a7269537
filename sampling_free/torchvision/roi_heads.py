"""torchvision's RoI heads, trained on every proposal.

Letters: N images, R proposals of an image, M those of the batch that train, C classes.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss, keypointrcnn_loss, maskrcnn_loss

from sampling_free.boxes import best_overlap, paired_iou
from sampling_free.heuristics.applicable import check_sampling
from sampling_free.heuristics.sampling import chosen
from sampling_free.mechanism import Evidence, ExampleChoice, LossScaling, Predictions, WeightedChoice
from sampling_free.mechanism.normalization import ExampleCounts, check_normalizer
from sampling_free.torchvision.inherited import inherited
from sampling_free.torchvision.structures import (
    Target,
    all_labelled,
    check_targets,
    check_types,
    ground_truth,
    objectness_labels,
    proposal_labels,
    take_over,
)

Sizes = list[tuple[int, int]]


class Samples(NamedTuple):
    """The proposals that train, image by image.

    Attributes:
        proposals: `(R, 4)`.
        matches: `(R,)`, index of each one's object in its image; 0 where there is none.
        labels: `(R,)`, torchvision's: class numbers from 1, 0 for background.
        regression_targets: `(R, 4)`, deltas to the object.
        weights: `(M,)`, of their classification losses, where the choice gave any.
    """

    proposals: list[Tensor]
    matches: list[Tensor]
    labels: list[Tensor]
    regression_targets: list[Tensor]
    weights: Tensor | None = None

    def foreground(self) -> tuple[list[Tensor], list[Tensor]]:
        """Proposals and matches of the foreground alone, which masks and keypoints train on."""
        places = [torch.where(labels > 0)[0] for labels in self.labels]
        return _at_places(self.proposals, places), _at_places(self.matches, places)


class SamplingFreeRoIHeads(RoIHeads):
    """`RoIHeads` (boxes, masks, keypoints) whose examples, normaliser and box loss scale are objects.

    The loss is torchvision's own softmax cross-entropy; mask and keypoint losses are neither scaled nor guides, but see
    every foreground proposal. There is no bias initialisation: foreground is about one in ten here, and the papers
    do without.

    Args:
        host: torchvision's, whose parts and settings it takes; its sampler is idle.
        sampling: which proposals train.
        normalizer: what losses are divided by.
        scaling: of the classification loss.

    Raises:
        UserError: `host` is none of torchvision's, or a choice makes no sense here.
    """

    host_forward = inherited(RoIHeads.forward)

    def __init__(
        self, host: nn.Module, *, sampling: ExampleChoice, normalizer: nn.Module, scaling: LossScaling
    ) -> None:
        nn.Module.__init__(self)
        take_over(self, host, RoIHeads)
        check_normalizer(normalizer, "sampled", "an RoI head")
        check_sampling(sampling, "roi")
        self.host_sampler = host.fg_bg_sampler
        self.fg_bg_sampler = all_labelled
        self.sampling = sampling
        self.normalizer: Any = normalizer
        self.scaling = scaling

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: Sizes,
        targets: list[Target] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Detections, or in training torchvision's losses with `loss_classifier` scaled; see torchvision."""
        if targets is not None and not torch.jit.is_scripting():
            self._check_labels(targets)
        if not self.training:
            return self.host_forward(features, proposals, image_shapes, targets)
        assert targets is not None, "targets should not be None"
        return [], self._forward_training(features, proposals, image_shapes, targets)

    @torch.jit.unused
    def _check_labels(self, targets: list[Target]) -> None:
        classifier = getattr(self.box_predictor, "cls_score", None)
        if classifier is not None:  # an own predictor may be built otherwise
            check_targets(targets, classifier.out_features, lowest=1)  # 0 is the background

    @torch.jit.unused
    def _forward_training(
        self, features: dict[str, Tensor], proposals: list[Tensor], image_shapes: Sizes, targets: list[Target]
    ) -> dict[str, Tensor]:
        check_types(targets)
        samples = self._chosen(features, proposals, image_shapes, targets)
        output = self._predict(features, samples.proposals, image_shapes)
        losses = self.losses(output, samples, targets)
        if self.has_mask():
            losses["loss_mask"] = self._mask_loss(features, samples, image_shapes, targets)
        if self.has_keypoint():
            losses["loss_keypoint"] = self._keypoint_loss(features, samples, image_shapes, targets)
        return losses

    @torch.no_grad()
    def _chosen(
        self, features: dict[str, Tensor], proposals: list[Tensor], image_shapes: Sizes, targets: list[Target]
    ) -> Samples:
        """The proposals that train, in their order."""
        every = self.select_training_samples(list(proposals), targets)  # proposals, matches, labels, deltas
        predictions = cache(partial(self._predictions, features, every[0], every[2], image_shapes))
        places, weights = [], []
        for image, boxes in enumerate(ground_truth(targets)):
            overlap = partial(best_overlap, every[0][image], boxes)
            evidence = Evidence(partial(_of_image, predictions, image), overlap)
            # one class is enough to choose by: what matters is foreground, background, ignored
            kinds = objectness_labels(every[2][image].sign())
            drawn, of_drawn = chosen(self.sampling, kinds, 1, evidence)
            order = drawn.argsort()
            places.append(drawn[order])
            if of_drawn is not None:
                weights.append(of_drawn[order])
        proposals, matches, labels, wanted = (_at_places(part, places) for part in every)
        return Samples(proposals, matches, labels, wanted, torch.cat(weights) if weights else None)

    def _predict(self, features: dict[str, Tensor], proposals: list[Tensor], sizes: Sizes) -> tuple[Tensor, Tensor]:
        """Logits `(M, 1 + C)` and deltas `(M, 4 (1 + C))`."""
        return self.box_predictor(self.box_head(self.box_roi_pool(features, proposals, sizes)))

    def _predictions(
        self, features: dict[str, Tensor], proposals: list[Tensor], labels: list[Tensor], sizes: Sizes
    ) -> list[Predictions]:
        """What the box head says of all proposals, image by image."""
        logits, deltas = self._predict(features, proposals, sizes)
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

    def losses(self, output: tuple[Tensor, Tensor], samples: Samples, targets: list[Target]) -> dict[str, Tensor]:
        """The losses `loss_classifier` and `loss_box_reg` of the proposals that train, scaled.

        Args:
            output: what the box predictor said of them, logits `(M, 1 + C)` and deltas `(M, 4 (1 + C))`.
            samples: those proposals.
            targets: ground truth of each image.
        """
        logits, deltas = output
        classifier, box_reg = fastrcnn_loss(logits, deltas, samples.labels, samples.regression_targets)
        if isinstance(self.sampling, WeightedChoice) and samples.weights is not None:
            classifier = self._weighted(self.sampling, samples.weights, output, samples, targets)
        num_classes = logits.shape[1] - 1
        counts = ExampleCounts.of(proposal_labels(torch.cat(samples.labels), num_classes), num_classes)
        classifier, box_reg = self.normalizer.sampled(classifier, box_reg, counts)
        losses = {"loss_classifier": classifier, "loss_box_reg": box_reg}
        return self.scaling(losses, "loss_classifier", "loss_box_reg", **counts.logged(box_reg))

    def _weighted(
        self,
        choice: WeightedChoice,
        drawn: Tensor,
        output: tuple[Tensor, Tensor],
        samples: Samples,
        targets: list[Target],
    ) -> Tensor:
        """torchvision's classification loss with a choice's weights, those known since the draw and the later ones."""
        logits, deltas = output
        every, num_classes = torch.cat(samples.labels), logits.shape[1] - 1
        losses = F.cross_entropy(logits, every, reduction="none")
        with torch.no_grad():
            # an image without objects has a box that nothing is matched to, as torchvision's own code has
            objects = [boxes if len(boxes) else boxes.new_zeros(1, 4) for boxes in ground_truth(targets)]
            starts = torch.tensor([0] + [len(boxes) for boxes in objects[:-1]]).cumsum(0).tolist()
            instances = torch.cat([match + start for match, start in zip(samples.matches, starts, strict=True)])
            regressed = self._regressed(deltas, samples.proposals, every)
            ious = paired_iou(regressed, torch.cat(objects).float()[instances])
            kinds = proposal_labels(every, num_classes)
            later = choice.positive_weights(kinds, num_classes, instances, ious, losses)
        return (drawn * later * losses).mean()

    def _mask_loss(self, features: dict[str, Tensor], samples: Samples, sizes: Sizes, targets: list[Target]) -> Tensor:
        boxes, matches = samples.foreground()
        logits = self.mask_predictor(self.mask_head(self.mask_roi_pool(features, boxes, sizes)))
        masks, labels = ([target[name] for target in targets] for name in ("masks", "labels"))
        return maskrcnn_loss(logits, boxes, masks, labels, matches)

    def _keypoint_loss(
        self, features: dict[str, Tensor], samples: Samples, sizes: Sizes, targets: list[Target]
    ) -> Tensor:
        boxes, matches = samples.foreground()
        logits = self.keypoint_predictor(self.keypoint_head(self.keypoint_roi_pool(features, boxes, sizes)))
        return keypointrcnn_loss(logits, boxes, [target["keypoints"] for target in targets], matches)


def _of_image(predictions: Callable[[], list[Predictions]], image: int) -> Predictions:
    return predictions()[image]


def _at_places(values: list[Tensor], places: list[Tensor]) -> list[Tensor]:
    return [of_image[kept] for of_image, kept in zip(values, places, strict=True)]
