"""detectron2's Cascade R-CNN heads, trained on every proposal, and the choice of how their stages are scaled."""

import copy
from typing import Any

from detectron2.config import configurable
from detectron2.modeling.roi_heads import ROI_HEADS_REGISTRY, CascadeROIHeads
from detectron2.structures import Instances
from torch import nn

from sampling_free.detectron2.roi_heads import SamplingFreeROIHeads
from sampling_free.mechanism import LossScaling
from sampling_free.mechanism.scaling import Losses


@ROI_HEADS_REGISTRY.register()
class SamplingFreeCascadeROIHeads(SamplingFreeROIHeads, CascadeROIHeads):
    """`CascadeROIHeads` whose examples, normaliser and box loss scale are objects; see `SamplingFreeROIHeads`.

    The stages count as one for the scale, as v1 says: one ratio, of the sums of their losses. `scaling=PerStage(...)`
    gives each its own. The normaliser is copied, since each stage has foreground of its own. Choosing examples happens
    before the first stage; later ones relabel what it left, and all of that trains.
    """

    _host_forward = CascadeROIHeads.forward

    @configurable
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.normalizer = nn.ModuleList(copy.deepcopy(self.normalizer) for _ in range(self.num_cascade_stages))

    def _match_and_label_boxes(
        self, proposals: list[Instances], stage: int, targets: list[Instances]
    ) -> list[Instances]:
        proposals = super()._match_and_label_boxes(proposals, stage, targets)
        self._count(proposals)
        return proposals

    def _stages(self) -> list[tuple[str, Any]]:
        return [(f"_stage{stage}", normalizer) for stage, normalizer in enumerate(self.normalizer)]


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
