"""From overlapping detections to few. Letters: E detections of an image; boxes `(E, 4)` XYXY in pixels."""

import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

Detections = tuple[Tensor, Tensor, Tensor]  # boxes (E, 4), scores (E,), labels (E,), best first


class Suppression:
    """Non-maximum suppression per class.

    Args:
        iou: above which the lower score of two goes.
        most: detections that stay in an image.
    """

    def __init__(self, iou: float = 0.5, most: int = 100) -> None:
        self.iou = iou
        self.most = most

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Detections:
        """The detections that remain, sorted by score, best first."""
        kept = batched_nms(boxes, scores, labels, self.iou)[: self.most]
        return boxes[kept], scores[kept], labels[kept]


class ScoreVoting(Suppression):
    """Suppression, after which each box is a weighted mean of its neighbours of the same class (PAA, Section 3.4).

    Weights are score * exp(-(1 - IoU)^2 / sigma), of boxes that overlap by more than `least`.

    Args:
        iou: of the suppression.
        most: detections that stay in an image.
        sigma: the paper's sigma_t, 0.025.
        least: IoU below which a box is no neighbour; 0.01 in the authors' code.
    """

    def __init__(self, iou: float = 0.6, most: int = 100, sigma: float = 0.025, least: float = 0.01) -> None:
        super().__init__(iou, most)
        self.sigma = sigma
        self.least = least

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Detections:
        """The detections that remain, sorted by score, best first, with voted boxes."""
        kept, kept_scores, kept_labels = super().__call__(boxes, scores, labels)
        iou = box_iou(kept, boxes)
        neighbour = (iou > self.least) & (kept_labels[:, None] == labels)
        weights = torch.where(neighbour, scores * torch.exp(-((1 - iou) ** 2) / self.sigma), 0.0)
        total = weights.sum(dim=1, keepdim=True)
        voted = torch.where(total > 0, weights @ boxes / total.clamp(min=torch.finfo(total.dtype).tiny), kept)
        return voted, kept_scores, kept_labels
