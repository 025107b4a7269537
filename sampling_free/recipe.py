"""The papers' recipe: what each head trains with. Both hosts, their LazyConfigs and their YAML files read it here.

Every part is a class with its arguments, still to be called, under the name that `make_sampling_free` gives it.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sampling_free.mechanism import AllExamples, GuidedScaling, LearnedScaling, PerForeground, SigmoidCrossEntropy

Recipe = Mapping[str, partial[Any]]

# one-stage detectors: v2 (Eq. 13 and 24)
DENSE: Recipe = {
    "classification_loss": partial(SigmoidCrossEntropy),
    "normalizer": partial(PerForeground, localization_weight=1.0),
    "scaling": partial(LearnedScaling),
}
# region proposal networks: v1 (Eq. 5-8), and the released code's weight of localisation
RPN: Recipe = {
    "sampling": partial(AllExamples),
    "normalizer": partial(PerForeground, localization_weight=1 / 8),
    "scaling": partial(GuidedScaling, factor=1.0),
}
# RoI heads: the same, Cascade R-CNN's too
ROI: Recipe = {
    "sampling": partial(AllExamples),
    "normalizer": partial(PerForeground, localization_weight=1 / 4),
    "scaling": partial(GuidedScaling, factor=2.0),
}
BOUNDARY_THRESHOLD = 0  # pixels by which an anchor of the region proposal network may leave the image; released code
ROI_SCORE_THRESHOLD = 1e-3  # of detections; released code: N_f / N of proposals, about 0.1, would hide most of them


def completed(recipe: Recipe, **chosen: Any) -> dict[str, Any]:
    """The parts of a head: those that were chosen, and the recipe's where one is None."""
    return {name: make() if chosen.get(name) is None else chosen[name] for name, make in recipe.items()}


def as_text(part: partial[Any]) -> str:
    """A part as a YAML file has it, such as `GuidedScaling(factor=2.0)`."""
    arguments = ", ".join(f"{name}={value!r}" for name, value in part.keywords.items())
    return f"{part.func.__name__}({arguments})"
