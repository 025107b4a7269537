"""What the sampling-free forms of detectron2's one-stage detectors share.

Letters: N images, L levels, A anchors per place, R anchors or points of an image, C classes.
"""

from typing import Any

from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import get_event_storage, has_event_storage
from torch import Tensor, nn

from sampling_free import recipe
from sampling_free.detectron2.checkpoints import load_without_parts
from sampling_free.detectron2.storage import log_scaling
from sampling_free.detectron2.structures import check_classes
from sampling_free.heuristics.applicable import check_dense_losses
from sampling_free.mechanism import (
    ForegroundStatistics,
    LossScaling,
)
from sampling_free.mechanism.threshold import add_fitted_threshold
from sampling_free.recipe import completed


class OneStage(nn.Module):
    """To be named before a `DenseDetector` in a class's bases.

    The classification loss reads the raw maps `(N, A*C, H, W)` as the convolution left them. The score threshold that
    training computed is in the checkpoint, and evaluation uses it unless the user said another.
    """

    classification_loss: nn.Module
    box_loss: nn.Module | None
    normalizer: Any
    scaling: LossScaling
    statistics: ForegroundStatistics
    test_score_thresh: float
    num_classes: int
    head_in_features: list[str]

    _boxes_by: str | None = None  # what they are trained by, where box_loss= cannot change it

    def _add_parts(
        self,
        classification_loss: nn.Module | None,
        box_loss: nn.Module | None,
        normalizer: nn.Module | None,
        scaling: LossScaling | None,
    ) -> None:
        parts = completed(recipe.DENSE, classification_loss=classification_loss, normalizer=normalizer, scaling=scaling)
        self.classification_loss = parts["classification_loss"]
        self.box_loss = box_loss
        check_dense_losses(self.classification_loss, box_loss, type(self).__name__, boxes_by=self._boxes_by)
        self.normalizer = parts["normalizer"]
        self.scaling = parts["scaling"]
        self.statistics = ForegroundStatistics(0, 0, self.num_classes)
        self.test_score_thresh = float(self.test_score_thresh)
        add_fitted_threshold(self, "test_score_thresh", (0.05, 0.2))  # detectron2's RetinaNet and FCOS
        load_without_parts(self)

    def forward_training(
        self, images: ImageList, features: list[Tensor], predictions: list[list[Tensor]], gt_instances: list[Instances]
    ) -> dict[str, Tensor]:
        """detectron2's, but the logits stay raw maps."""
        self.statistics.remind(self.classification_loss)
        logits, *others = predictions
        deltas, *others = self._transpose_dense_predictions(others, [4, 1][: len(others)])  # type: ignore[operator]
        deltas = [level.float() for level in deltas]  # float16 ends at the area of a box of 256 px
        anchors = self.anchor_generator(features)  # type: ignore[operator]
        labels, boxes = self.label_anchors(anchors, gt_instances)
        return self.losses(anchors, logits, labels, deltas, boxes, *others)  # type: ignore[operator]

    def label_anchors(self, anchors: list[Boxes], gt_instances: list[Instances]) -> tuple[list[Tensor], list[Tensor]]:
        """detectron2's labels `(R,)` and boxes `(R, 4)` per image, after a look at the classes.

        Raises:
            UserError: a class is out of range.
        """
        check_classes(gt_instances, self.num_classes)
        return super().label_anchors(anchors, gt_instances)  # type: ignore[misc]

    def _scaled(
        self, losses: dict[str, Tensor], classification: str, localization: str, num_foreground: Tensor
    ) -> dict[str, Tensor]:
        scaled = self.scaling(losses, classification, localization)
        if has_event_storage():
            get_event_storage().put_scalar("num_pos_anchors", num_foreground.float().mean().item())
            log_scaling(self.scaling.last)
        return scaled
