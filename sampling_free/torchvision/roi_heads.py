"""torchvision's RoI heads, trained on every proposal. Letters: R proposals of an image."""

from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads

from sampling_free.mechanism import LossScaling
from sampling_free.torchvision.normalization import SampledNormalizer
from sampling_free.torchvision.structures import Sampler, Target, check_labels


class SamplingFreeRoIHeads(RoIHeads):
    """`RoIHeads` (boxes, masks, keypoints) whose examples, normaliser and box loss scale are objects.

    The loss is torchvision's own softmax cross-entropy; mask and keypoint losses are neither scaled nor guides, but see
    every foreground proposal. There is no bias initialisation: foreground is about one in ten here, and the papers
    do without. `make_sampling_free` turns `RoIHeads` into one.
    """

    fg_bg_sampler: Sampler
    normalizer: SampledNormalizer
    scaling: LossScaling

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
        detections, losses = super().forward(features, proposals, image_shapes, targets)
        if losses:
            box_losses = self._scaled(losses.pop("loss_classifier"), losses.pop("loss_box_reg"))
            losses = box_losses | losses
        return detections, losses

    def _scaled(self, loss_classifier: Tensor, loss_box_reg: Tensor) -> dict[str, Tensor]:
        classifier, box_reg = self.normalizer.sampled(loss_classifier, loss_box_reg, self.fg_bg_sampler)
        losses = {"loss_classifier": classifier, "loss_box_reg": box_reg}
        scaled = self.scaling(losses, "loss_classifier", "loss_box_reg")
        self.scaling.last["num_foreground"] = box_reg.new_tensor(self.fg_bg_sampler.num_foreground)
        self.scaling.last["num_examples"] = box_reg.new_tensor(self.fg_bg_sampler.num_examples)
        return scaled
