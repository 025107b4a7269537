"""detectron2's Cascade R-CNN heads, trained on every proposal, and the choice of how their stages are scaled."""

import copy
from typing import Any

from detectron2.config import configurable
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, CascadeROIHeads
from detectron2.structures import Instances, pairwise_iou
from torch import Tensor, nn

from sampling_free.detectron2.roi_heads import Output, SamplingFreeROIHeads
from sampling_free.heuristics.applicable import check_sampling
from sampling_free.mechanism import Evidence, ExampleChoice, LossScaling
from sampling_free.mechanism.scaling import Losses


@ROI_HEADS_REGISTRY.register()
class SamplingFreeCascadeROIHeads(SamplingFreeROIHeads, CascadeROIHeads):
    """`CascadeROIHeads` whose examples, normaliser and box loss scale are objects; see `SamplingFreeROIHeads`.

    The stages count as one for the scale, as v1 says: one ratio, of the sums of their losses. `scaling=PerStage(...)`
    gives each its own. The normaliser is copied, since each stage has foreground of its own. Examples are chosen before
    the first stage; later ones relabel what it left, and all of that trains. `sampling=EveryStage(...)` chooses anew
    before each.
    """

    _kind = "cascade"

    @configurable
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.normalizer = nn.ModuleList(copy.deepcopy(self.normalizer) for _ in range(self.num_cascade_stages))

    def _box_losses(self, features: list[Tensor], proposals: list[Instances], targets: list[Instances]) -> Losses:
        sizes = [of_image.image_size for of_image in proposals]
        outputs: list[Output] = [(self._predict(features, proposals, stage=0), proposals)]
        for stage in range(1, self.num_cascade_stages):
            boxes = self.box_predictor[stage - 1].predict_boxes(*outputs[-1])
            proposals = self._create_proposals_from_boxes(boxes, sizes)
            proposals = self._match_and_label_boxes(proposals, stage, targets)
            if isinstance(self.sampling, EveryStage):
                self._number_objects(proposals, stage, targets)
                proposals = self._chosen(features, proposals, targets, stage)
            outputs.append((self._predict(features, proposals, stage), proposals))
        return self.losses(outputs)

    def _number_objects(self, proposals: list[Instances], stage: int, targets: list[Instances]) -> None:
        """Give proposals `gt_index`, which detectron2 does before the first stage alone."""
        for of_image, truth in zip(proposals, targets, strict=True):
            ious = pairwise_iou(truth.gt_boxes, of_image.proposal_boxes)
            of_image.gt_index, _ = self.proposal_matchers[stage](ious)

    def _choice(self) -> ExampleChoice:
        return self.sampling.sampling if isinstance(self.sampling, EveryStage) else self.sampling

    def _predictors(self) -> list[Any]:
        return list(self.box_predictor)

    def _stages(self) -> list[tuple[str, Any]]:
        return [(f"stage{stage}", normalizer) for stage, normalizer in enumerate(self.normalizer)]

    def _predict(self, features: list[Tensor], proposals: list[Instances], stage: int) -> tuple[Tensor, Tensor]:
        return self._run_stage(features, proposals, stage)


class EveryStage:
    """A choice of examples made before each stage of Cascade R-CNN, not before the first alone.

    A later stage chooses among the boxes that the one before it regressed; as in detectron2, ground truth is not added.

    Args:
        sampling: the choice.
    """

    heads = ("cascade",)

    def __init__(self, sampling: ExampleChoice) -> None:
        check_sampling(sampling, "cascade")
        self.sampling = sampling

    def __call__(self, labels: Tensor, num_classes: int, evidence: Evidence | None = None) -> Tensor:
        """Labels `(R,)` of one stage and image in, the same with what does not train set to -1 out."""
        return self.sampling(labels, num_classes, evidence)

    def __repr__(self) -> str:
        return f"EveryStage({self.sampling!r})"


class PerStage(LossScaling):
    """A scale for each stage of Cascade R-CNN, in place of one for all.

    Args:
        scaling: of one stage; copied.
        num_stages: how many there are.
    """

    def __init__(self, scaling: LossScaling, num_stages: int = 3) -> None:
        super().__init__()
        self.stages = nn.ModuleList(copy.deepcopy(scaling) for _ in range(num_stages))

    def scale(self, losses: Losses, classification: tuple[str, ...], localization: tuple[str, ...]) -> Losses:
        """Each stage's losses by its own scale."""
        scaled: Losses = {}
        for stage, (cls, loc) in enumerate(zip(classification, localization, strict=True)):
            scaling = self._stage(stage)
            scaled |= scaling({name: losses[name] for name in (cls, loc)}, cls, loc)
            own = {name: value for name, value in scaling.last.items() if not name.startswith("raw/")}
            self.last |= {f"{name}_stage{stage}": value for name, value in own.items()}
        return scaled

    def _stage(self, stage: int) -> LossScaling:
        return self.stages[stage]  # type: ignore[return-value]
