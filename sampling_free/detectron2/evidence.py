"""What choices of proposals look at beside labels, from detectron2's box heads.

Letters: R proposals of an image, M those of the batch that train, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.structures import Instances
from torch import Tensor

from sampling_free.boxes import best_overlap, paired_iou
from sampling_free.mechanism import Evidence, Predictions, WeightedChoice


@dataclass(frozen=True)
class BoxHead:
    """A box head of some batch.

    Attributes:
        predictor: detectron2's `FastRCNNOutputLayers`.
        forward: gives the predictor's answer, logits `(M, C+1)` and deltas, for the proposals of the batch.
    """

    predictor: Any
    forward: Callable[[list[Instances]], tuple[Tensor, Tensor]]


class BatchEvidence:
    """The evidence of all images of a batch; the box head runs once for all of them, or not at all.

    Args:
        head: what ranks.
        proposals: gives the candidates of each image.
        targets: their ground truth.
    """

    def __init__(self, head: BoxHead, proposals: Callable[[], list[Instances]], targets: list[Instances]) -> None:
        self.head = head
        self.targets = targets
        self._proposals = proposals

    def of(self, image: int, labels: Tensor) -> Evidence:
        """Evidence for one image with labels `(R,)`."""
        return Evidence(lambda: self._predictions(image, labels), lambda: self._overlap(image))

    @cached_property
    def proposals(self) -> list[Instances]:
        """Of each image."""
        return self._proposals()

    @cached_property
    def _output(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Logits `(R, C+1)` and regressed boxes `(R, 4)` or `(R, C, 4)` of each image."""
        logits, deltas = self.head.forward(self.proposals)
        boxes = self.head.predictor.predict_boxes((logits, deltas), self.proposals)
        return logits.float().split([len(of_image) for of_image in self.proposals]), boxes

    def _predictions(self, image: int, labels: Tensor) -> Predictions:
        logits, boxes = (part[image] for part in self._output)
        losses = F.cross_entropy(logits, labels.clamp(min=0), reduction="none")
        scores, best = logits.softmax(dim=1)[:, :-1].max(dim=1)
        if boxes.shape[1] > 4:  # a box for each class
            boxes = boxes.unflatten(1, (-1, 4))[torch.arange(len(boxes), device=boxes.device), best]
        return Predictions(losses, scores, boxes)

    def _overlap(self, image: int) -> tuple[Tensor, Tensor]:
        boxes, ground_truth = self.proposals[image].proposal_boxes, self.targets[image].gt_boxes
        return best_overlap(boxes.tensor, ground_truth.tensor)


def weighted_loss(
    choice: WeightedChoice,
    predictor: Any,
    predictions: tuple[Tensor, Tensor],
    proposals: list[Instances],
    drawn_weights: Tensor,
) -> Tensor:
    """detectron2's classification loss of the proposals that train, with the weights of their choice.

    Args:
        choice: gave the weights.
        predictor: detectron2's `FastRCNNOutputLayers`.
        predictions: what it gave, logits `(M, C+1)` and deltas.
        proposals: of each image.
        drawn_weights: `(M,)`, known since the draw.
    """
    logits, num_classes = predictions[0], predictions[0].shape[1] - 1
    labels = torch.cat([of_image.gt_classes for of_image in proposals])
    losses = F.cross_entropy(logits, labels, reduction="none")
    with torch.no_grad():
        boxes = torch.cat(list(predictor.predict_boxes_for_gt_classes(predictions, proposals)))
        # an image without objects has none to compare with, and no positive to compare
        with_boxes = [
            of_image.gt_boxes if of_image.has("gt_boxes") else of_image.proposal_boxes for of_image in proposals
        ]
        objects = torch.cat([of_image.tensor for of_image in with_boxes])
        images = torch.cat([labels.new_full((len(of_image),), i) for i, of_image in enumerate(proposals)])
        instances = distinct(torch.cat([images[:, None].to(objects), objects], dim=1))
        by_head = choice.positive_weights(labels, num_classes, instances, paired_iou(boxes, objects), losses)
    weight = predictor.loss_weight.get("loss_cls", 1.0)
    return (drawn_weights * by_head * losses).mean() * weight if len(losses) else losses.sum()


def distinct(rows: Tensor) -> Tensor:
    """Integers `(R,)`, the same for the same rows `(R, K)`: objects are told apart by their boxes."""
    return torch.unique(rows, dim=0, return_inverse=True)[1]
