"""The skeleton of a dense detector: raw maps -> assignment -> losses, or -> detections.

Letters: N images, L levels, A anchors per place, C classes, R anchors of an image, M boxes, E detections.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image

from sampling_free.detectors.anchors import AnchorGrid, Anchors
from sampling_free.detectors.assigners import BACKGROUND, Assigner
from sampling_free.detectors.codings import Coding
from sampling_free.detectors.maps import Maps, Predicted, rows_at
from sampling_free.detectors.quality import Foreground, NoQuality
from sampling_free.detectors.suppression import Detections, Suppression
from sampling_free.errors import UserError
from sampling_free.heuristics.applicable import check_dense_losses
from sampling_free.mechanism import (
    ForegroundStatistics,
    LearnedScaling,
    LossScaling,
    PerForeground,
    SigmoidCrossEntropy,
    bias_of_prior,
)
from sampling_free.mechanism.normalization import over, reduction_of
from sampling_free.mechanism.processes import mean_over_processes
from sampling_free.mechanism.threshold import FittedThreshold, add_fitted_threshold

BoxLoss = Callable[[Foreground, Coding], Tensor]


class DenseDetector(nn.Module):
    """All of a dense detector behind its backbone, put together from objects.

    Losses are `classification` (a sum over N_f, v1 Eq. 2), `bbox_regression` (a mean over the foreground, weighted by
    the quality's targets) and the quality's own. Class scores read the raw maps. Until `set_prior` is called the
    classifiers' biases are as built, and so is the threshold.

    Args:
        head: called with L feature maps `(N, channels, H, W)`, gives `Maps`; its `classifiers` are the layers whose
            outputs are the class logits.
        anchors: where it predicts.
        assigner: which anchor answers for which box.
        coding: of the boxes.
        box_loss: of the boxes, one by one, or a scalar of `reduction` "mean", as `CodedLoss` of GHM-R.
        quality: what the detector knows of its boxes.
        suppression: of overlapping detections.
        num_classes: C.
        classification_loss: default `SigmoidCrossEntropy()`.
        normalizer: what losses are divided by; default `PerForeground()`.
        scaling: of the classification loss; default `LearnedScaling()` (v2).
        score_threshold: below which a detection is dropped; by default the fitted one, v1's N_f / N.
        topk: detections of a level before suppression.
    """

    fitted_threshold: FittedThreshold

    def __init__(
        self,
        *,
        head: nn.Module,
        anchors: AnchorGrid,
        assigner: Assigner,
        coding: Coding,
        box_loss: BoxLoss,
        quality: NoQuality,
        suppression: Suppression,
        num_classes: int,
        classification_loss: nn.Module | None = None,
        normalizer: PerForeground | None = None,
        scaling: LossScaling | None = None,
        score_threshold: float = 0.05,
        topk: int = 1000,
    ) -> None:
        super().__init__()
        self.head = head
        self.anchors = anchors
        self.assigner = assigner
        self.coding = coding
        self.box_loss = box_loss
        self.quality = quality
        self.suppression = suppression
        self.num_classes = num_classes
        self.classification_loss = classification_loss or SigmoidCrossEntropy()
        self.normalizer = normalizer or PerForeground()
        self.scaling = scaling or LearnedScaling()
        self.statistics = ForegroundStatistics(0, 0, num_classes)
        self.topk = topk
        self.score_threshold = float(score_threshold)
        add_fitted_threshold(self, "score_threshold", (0.05, 0.005))  # the usual one, and YOLOv3's
        check_dense_losses(self.classification_loss, None, "a dense detector")
        if not isinstance(self.normalizer, PerForeground):
            raise UserError(f"dense detectors take normalizer=PerForeground(), with any count, not {self.normalizer}")

    def forward(self, features: Sequence[Tensor]) -> Maps:
        """Raw maps for L feature maps."""
        return self.head(list(features))

    def losses(self, maps: Maps, boxes: Sequence[Tensor], classes: Sequence[Tensor]) -> dict[str, Tensor]:
        """The losses, scaled, and the scale's regulariser if it has one.

        Args:
            maps: of N images.
            boxes: per image `(M, 4)`, XYXY in pixels of the padded image; M may be 0.
            classes: per image `(M,)` in `[0, C)`.
        """
        self.statistics.remind(self.classification_loss)
        anchors = self.anchors(maps.sizes, maps.logits[0].device)
        matches = []
        for image, (b, c) in enumerate(zip(boxes, classes, strict=True)):
            predicted = Predicted(maps.of_image(image), anchors, self.coding, self.num_classes)
            with torch.no_grad():
                matches.append(self.assigner(anchors, b, c, predicted))
        labels = torch.stack([labels_of(m, c, self.num_classes) for m, c in zip(matches, classes, strict=True)])
        foreground = self._foreground(maps, anchors, matches, boxes)
        num_foreground = (labels >= 0).logical_and(labels < self.num_classes).sum()
        if self.training and self.assigner.reads_predictions:  # which foreground there is, only training finds
            self.fitted_threshold.follow(num_foreground / (labels >= 0).sum())
        divisor = self.normalizer.count(num_foreground)
        trained = self.quality.classification_labels(labels, self.num_classes)
        classification = self.classification_loss(maps.logits, trained, self.num_classes)
        losses = {
            "classification": over(classification, divisor, reduction_of(self.classification_loss)),
            "bbox_regression": self._box_loss(foreground) * self.normalizer.localization_weight,
        }
        further = self.quality.losses(maps, labels, foreground, self.num_classes)
        losses |= {name: loss / divisor for name, loss in further.items()}
        counts = {"num_foreground": num_foreground, "num_examples": (labels >= 0).sum()}
        return self.scaling(losses, "classification", "bbox_regression", **counts)

    def _foreground(self, maps: Maps, anchors: Anchors, matches: list[Tensor], boxes: Sequence[Tensor]) -> Foreground:
        image, example = (torch.stack(matches) >= 0).nonzero(as_tuple=True)
        targets = torch.cat([b[m[m >= 0]] for b, m in zip(boxes, matches, strict=True)])
        raw = rows_at(maps.boxes, image, example, 4)
        quality = rows_at(maps.quality, image, example, 1)[:, 0] if maps.quality else None
        chosen = anchors.at(example)
        return Foreground(chosen, targets, raw, self.coding.decode(raw, chosen), quality)

    def _box_loss(self, foreground: Foreground) -> Tensor:
        """Weighted mean over the foreground of all processes; 0, with a gradient of zeros, where there is none."""
        loss = self.box_loss(foreground, self.coding)
        if reduction_of(self.box_loss) == "mean":
            return loss
        weights = self.quality.weights(foreground)
        total = mean_over_processes(weights.sum())
        return (loss * weights).sum() / torch.where(total > 0, total, 1.0)

    @torch.no_grad()
    def detections(self, maps: Maps, image_sizes: Sequence[tuple[int, int]]) -> list[Detections]:
        """Boxes `(E, 4)` within the image, scores and classes `(E,)` of each image, best first.

        Args:
            maps: of N images.
            image_sizes: per image (height, width), without padding.
        """
        if self.assigner.reads_predictions:
            self.fitted_threshold.offer(self)
        anchors = self.anchors(maps.sizes, maps.logits[0].device)
        return [self._detections(maps.of_image(i), anchors, size) for i, size in enumerate(image_sizes)]

    def _detections(self, maps: Maps, anchors: Anchors, size: tuple[int, int]) -> Detections:
        found, start = [], 0
        for level, count in enumerate(anchors.counts):
            scores, cell, classes = self._scores(maps.logits[level], maps.quality[level] if maps.quality else None)
            best = scores.topk(min(self.topk, len(scores))).indices
            found.append((scores[best], cell[best] + start, classes[best]))
            start += count
        scores, example, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
        raw = rows_at(maps.boxes, torch.zeros_like(example), example, 4)
        boxes = clip_boxes_to_image(self.coding.decode(raw, anchors.at(example)), size)
        real = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        boxes, scores, labels = self.suppression(boxes[real], scores[real], labels[real])
        return clip_boxes_to_image(boxes, size), scores, labels  # a mean of boxes may pass the border by a rounding

    def _scores(self, logits: Tensor, quality: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, examples within the level and classes of one raw map `(1, A*C, H, W)` above the threshold."""
        by_anchor = logits[0].unflatten(0, (-1, self.num_classes)).float().sigmoid()
        certain = None if quality is None else quality[0][:, None].float().sigmoid().expand_as(by_anchor)
        kept = self.quality.thresholded(by_anchor, certain) > self.score_threshold
        anchor, classes, row, column = kept.nonzero(as_tuple=True)
        scores = self.quality.scores(by_anchor[kept], None if certain is None else certain[kept])
        return scores, (row * by_anchor.shape[3] + column) * by_anchor.shape[0] + anchor, classes

    @torch.no_grad()
    def labels_without_predictions(self, sizes: Sequence[tuple[int, int]], boxes: Tensor, classes: Tensor) -> Tensor:
        """Labels `(R,)` of an image from its boxes alone, which `fit_prior` counts; no network runs.

        Args:
            sizes: (height, width) of the L feature maps.
            boxes: `(M, 4)`.
            classes: `(M,)`.
        """
        return labels_of(
            self.assigner(self.anchors(sizes, boxes.device), boxes, classes, None), classes, self.num_classes
        )

    def set_prior(self, prior: float, score_threshold: float | None = None) -> None:
        """Set the biases for a prior pi (v1 Eq. 10), and the threshold; by default pi C, which is N_f / N.

        Raises:
            UserError: `prior` is no probability.
        """
        try:
            bias = bias_of_prior(prior)
        except ValueError as error:
            raise UserError(str(error)) from error
        for layer in self.head.classifiers:  # type: ignore[union-attr]
            nn.init.constant_(layer.bias, bias)
        self.statistics.settle()
        self.fitted_threshold.offer(self, score_threshold or prior * self.num_classes)


def labels_of(matches: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Labels `(R,)` in the mechanism's alphabet: class, C background, -1 ignored.

    Args:
        matches: `(R,)`, of an assigner.
        classes: `(M,)` of the boxes.
        num_classes: C.
    """
    unmatched = torch.where(matches == BACKGROUND, num_classes, -1)
    if not len(classes):
        return unmatched
    return torch.where(matches >= 0, classes[matches.clamp(min=0)], unmatched)
