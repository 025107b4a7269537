"""detectron2's region proposal network, trained on every anchor.

Letters: N images, L levels, A anchors per place, R anchors of an image.
"""

from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import configurable
from detectron2.modeling.proposal_generator import PROPOSAL_GENERATOR_REGISTRY, RPN
from detectron2.structures import Boxes
from torch import Tensor, nn

from sampling_free import recipe
from sampling_free.boxes import paired_iou
from sampling_free.detectron2.checkpoints import load_without_parts
from sampling_free.detectron2.storage import log_scaling, some_storage
from sampling_free.detectron2.structures import exchanged
from sampling_free.detectron2.yacs import rpn_choices
from sampling_free.heuristics.applicable import check_sampling
from sampling_free.mechanism import (
    Evidence,
    ExampleChoice,
    ForegroundStatistics,
    LossScaling,
    Predictions,
)
from sampling_free.mechanism.normalization import ExampleCounts, check_normalizer
from sampling_free.recipe import completed


@PROPOSAL_GENERATOR_REGISTRY.register()
class SamplingFreeRPN(RPN):
    """An `RPN` whose examples, normaliser and loss scale are objects.

    The losses are detectron2's own. Parameters, calls, loss names and proposals are too.

    Args:
        sampling: which anchors train; default `AllExamples()`.
        normalizer: what losses are divided by; default `PerForeground(1/8)`, the released code's weight. detectron2's
            own is `PerExample()`.
        scaling: of the classification loss; default, as in v1 and the released code, `GuidedScaling()`.
        host: what detectron2's `RPN` takes. `anchor_boundary_thresh=0`, as in the released code, ignores anchors that
            reach out of the image; detectron2's default keeps them. `batch_size_per_image` and `positive_fraction` are
            idle, but for the nominal number of examples that `PerExample()` divides by.

    Raises:
        UserError: a choice makes no sense here.
    """

    __jit_ignored_attributes__ = ["sampling"]

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
        parts = completed(recipe.RPN, sampling=sampling, normalizer=normalizer, scaling=scaling)
        self.sampling: ExampleChoice = parts["sampling"]
        self.normalizer: Any = parts["normalizer"]
        self.scaling: LossScaling = parts["scaling"]
        check_sampling(self.sampling, "rpn")
        check_normalizer(self.normalizer, "sampled", "a region proposal network")
        self.statistics = ForegroundStatistics(0, 0, 1)
        load_without_parts(self)

    @classmethod
    def from_config(cls, cfg: Any, input_shape: Any) -> dict[str, Any]:
        """Arguments from a yacs config; see `add_sampling_free_config`."""
        return super().from_config(cfg, input_shape) | rpn_choices(cfg)

    def _subsample_labels(self, label: Tensor) -> Tensor:
        return label  # anchors are chosen in `losses`, where there are predictions to choose by

    @torch.jit.unused
    def losses(
        self,
        anchors: list[Any],
        pred_objectness_logits: list[Tensor],
        gt_labels: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> dict[str, Tensor]:
        """The losses `loss_rpn_cls` and `loss_rpn_loc`, scaled; arguments as detectron2's."""
        self.statistics.remind()
        gt_labels = self._chosen(
            Boxes.cat(anchors).tensor, torch.cat(pred_objectness_logits, dim=1), gt_labels, gt_boxes
        )
        with some_storage():
            losses = super().losses(anchors, pred_objectness_logits, gt_labels, pred_anchor_deltas, gt_boxes)
        nominal = self.batch_size_per_image * len(gt_labels)
        counts = ExampleCounts.of(exchanged(torch.stack(gt_labels)), 1, num_averaged=nominal)
        loss_cls, loss_loc = self.normalizer.sampled(losses["loss_rpn_cls"], losses["loss_rpn_loc"], counts)
        scaled = self.scaling({"loss_rpn_cls": loss_cls, "loss_rpn_loc": loss_loc}, "loss_rpn_cls", "loss_rpn_loc")
        log_scaling(self.scaling.last, "rpn")
        return scaled

    @torch.no_grad()
    def _chosen(self, anchors: Tensor, logits: Tensor, labels: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """detectron2's labels of each image with the anchors that do not train set to -1."""
        return [
            exchanged(self.sampling(exchanged(of_image), 1, _evidence(anchors, *known, of_image)))
            for of_image, known in zip(labels, zip(logits, boxes, strict=True), strict=True)
        ]


def _evidence(anchors: Tensor, logits: Tensor, boxes: Tensor, labels: Tensor) -> Evidence:
    """The evidence of one image, from anchors and their best boxes `(R, 4)`, and logits and labels `(R,)`."""
    return Evidence(
        lambda: Predictions(
            F.binary_cross_entropy_with_logits(logits.float(), labels.clamp(min=0).float(), reduction="none")
        ),
        lambda: (paired_iou(anchors, boxes), torch.unique(boxes, dim=0, return_inverse=True)[1]),
    )
