"""What a detector knows of its own boxes, beside their classes: centerness, IoU, objectness, or nothing.

Letters: N images, A anchors per place, R anchors of an image, M foreground examples of the batch.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sampling_free.boxes import centerness, paired_iou
from sampling_free.detectors.anchors import Anchors
from sampling_free.detectors.maps import Maps
from sampling_free.mechanism import sigmoid_cross_entropy_sum


@dataclass(frozen=True)
class Foreground:
    """The foreground examples of a batch, row by row.

    Attributes:
        anchors: M of them.
        boxes: `(M, 4)`, what they are to predict.
        raw: `(M, 4)`, what the head said, with gradient.
        predicted: `(M, 4)`, the same decoded, with gradient.
        quality: `(M,)` logits, with gradient; None where the detector has no quality.
    """

    anchors: Anchors
    boxes: Tensor
    raw: Tensor
    predicted: Tensor
    quality: Tensor | None


class NoQuality:
    """The class scores are all there is: FoveaBox, and YOLOv3 without objectness (v1, Section 4)."""

    maps = 0  # of the head, per anchor

    def classification_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        """The labels `(N, R)` that the class scores train with: here all."""
        return labels

    def weights(self, foreground: Foreground) -> Tensor:
        """Weights `(M,)` of the box loss, without gradient: here 1."""
        return torch.ones_like(foreground.anchors.strides)

    def losses(self, maps: Maps, labels: Tensor, foreground: Foreground, num_classes: int) -> dict[str, Tensor]:
        """Sums of further losses by name; they are divided by the number of foreground examples."""
        return {}

    def scores(self, classes: Tensor, quality: Tensor | None) -> Tensor:
        """Scores that rank detections, from probabilities `(E,)` of classes and of quality."""
        return classes

    def thresholded(self, classes: Tensor, quality: Tensor | None) -> Tensor:
        """The scores that are compared with the score threshold."""
        return classes


class Centerness(NoQuality):
    """How central an anchor lies in its box (ATSS, as FCOS): weighs the box loss, and the score by a geometric mean."""

    maps = 1
    name = "bbox_ctrness"

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def weights(self, foreground: Foreground) -> Tensor:
        """Centerness of the anchors in their boxes."""
        return centerness(foreground.anchors.centers, foreground.boxes)

    def losses(self, maps: Maps, labels: Tensor, foreground: Foreground, num_classes: int) -> dict[str, Tensor]:
        """Binary cross-entropy with the target that also weighs the boxes, on foreground alone."""
        assert foreground.quality is not None
        targets = self.weights(foreground)
        loss = F.binary_cross_entropy_with_logits(foreground.quality.float(), targets, reduction="sum")
        return {self.name: self.weight * loss}

    def scores(self, classes: Tensor, quality: Tensor | None) -> Tensor:
        """Geometric mean of the two."""
        assert quality is not None
        return (classes * quality).sqrt()


class PredictedIoU(Centerness):
    """The IoU of the predicted box with the true one (PAA, Section 3.3): used as centerness is, with weight 1/2."""

    name = "bbox_iou"

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__(weight)

    def weights(self, foreground: Foreground) -> Tensor:
        """IoU of the predicted boxes."""
        return paired_iou(foreground.predicted.detach(), foreground.boxes)


class Objectness(NoQuality):
    """Is there an object at all? YOLOv3's own answer to the imbalance, which v1 replaces by Sampling-Free.

    Objectness trains on every anchor that is not ignored, classes on the responsible ones alone; the score is the
    product.
    """

    maps = 1
    name = "objectness"

    def classification_labels(self, labels: Tensor, num_classes: int) -> Tensor:
        """Background is ignored: class scores train where there is an object."""
        return torch.where(labels == num_classes, -1, labels)

    def losses(self, maps: Maps, labels: Tensor, foreground: Foreground, num_classes: int) -> dict[str, Tensor]:
        """Binary cross-entropy of object against none."""
        # one class: 0 is an object, 1 background, -1 ignored
        objects = torch.where(labels < 0, labels, (labels == num_classes).to(labels.dtype))
        return {self.name: sigmoid_cross_entropy_sum(maps.quality, objects, 1)}

    def scores(self, classes: Tensor, quality: Tensor | None) -> Tensor:
        """The product."""
        assert quality is not None
        return classes * quality

    def thresholded(self, classes: Tensor, quality: Tensor | None) -> Tensor:
        """The product too."""
        return self.scores(classes, quality)
