"""What choices of proposals look at beside labels, from detectron2's box heads.

Letters: R proposals of an image, M those of the batch that train, C classes.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.structures import Instances
from torch import Tensor

from sampling_free.boxes import best_overlap, paired_iou
from sampling_free.mechanism import Evidence, Predictions, WeightedChoice


class BatchEvidence:
    """The evidence of all images of a batch; the box head runs once for all of them, or not at all.

    Args:
        predictor: detectron2's `FastRCNNOutputLayers`.
        predict: gives its answer for the candidates, logits `(N*R, C+1)` and deltas.
        proposals: the candidates of each image, with labels `gt_classes`.
        targets: their ground truth.
    """

    def __init__(
        self,
        predictor: Any,
        predict: Callable[[], tuple[Tensor, Tensor]],
        proposals: list[Instances],
        targets: list[Instances],
    ) -> None:
        self.predictor = predictor
        self.predict = predict
        self.proposals = proposals
        self.targets = targets

    def of(self, image: int) -> Evidence:
        """Evidence for one image."""
        return Evidence(lambda: self._predictions(image), lambda: self._overlap(image))

    @cached_property
    def _output(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Logits `(R, C+1)` and regressed boxes `(R, 4)` or `(R, C, 4)` of each image."""
        logits, deltas = self.predict()
        boxes = self.predictor.predict_boxes((logits, deltas), self.proposals)
        return logits.float().split([len(of_image) for of_image in self.proposals]), boxes

    def _predictions(self, image: int) -> Predictions:
        logits, boxes = (part[image] for part in self._output)
        losses = F.cross_entropy(logits, self.proposals[image].gt_classes.clamp(min=0), reduction="none")
        scores, best = logits.softmax(dim=1)[:, :-1].max(dim=1)
        if boxes.shape[1] > 4:  # a box for each class
            boxes = boxes.unflatten(1, (-1, 4))[torch.arange(len(boxes), device=boxes.device), best]
        return Predictions(losses, scores, boxes)

    def _overlap(self, image: int) -> tuple[Tensor, Tensor]:
        boxes, ground_truth = self.proposals[image].proposal_boxes, self.targets[image].gt_boxes
        return best_overlap(boxes.tensor, ground_truth.tensor)


def weighted_loss(
    choice: WeightedChoice, predictor: Any, predictions: tuple[Tensor, Tensor], proposals: list[Instances]
) -> Tensor:
    """detectron2's classification loss of the proposals that train, with the weights of their choice.

    Args:
        choice: gave the weights.
        predictor: detectron2's `FastRCNNOutputLayers`.
        predictions: what it gave, logits `(M, C+1)` and deltas.
        proposals: of each image, with `gt_classes` and `loss_weights`, known since the draw, and with `gt_boxes` and
            `gt_index` where the image has objects.
    """
    logits, num_classes = predictions[0], predictions[0].shape[1] - 1
    labels = torch.cat([of_image.gt_classes for of_image in proposals])
    losses = F.cross_entropy(logits, labels, reduction="none")
    with torch.no_grad():
        boxes = torch.cat(list(predictor.predict_boxes_for_gt_classes(predictions, proposals)))
        # an image without objects has none to compare with, and no positive to compare
        objects = torch.cat([(p.gt_boxes if p.has("gt_boxes") else p.proposal_boxes).tensor for p in proposals])
        by_head = choice.positive_weights(
            labels, num_classes, _instances(proposals), paired_iou(boxes, objects), losses
        )
        weights = torch.cat([of_image.loss_weights for of_image in proposals]) * by_head
    weight = predictor.loss_weight.get("loss_cls", 1.0)
    return (weights * losses).mean() * weight if len(losses) else losses.sum()


def _instances(proposals: list[Instances]) -> Tensor:
    """Integers that tell the objects of all images apart, one for each proposal; any where its image has no object."""
    indices = [p.gt_index if p.has("gt_index") else torch.zeros_like(p.gt_classes) for p in proposals]
    return torch.cat([index * len(indices) + image for image, index in enumerate(indices)])
