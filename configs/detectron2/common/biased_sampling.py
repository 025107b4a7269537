"""Choices with which both heads of an R-CNN keep detectron2's sampling and normalisers, and are guided alone."""

from detectron2.config import LazyCall as L

from sampling_free.heuristics import BiasedSampling
from sampling_free.mechanism import PerExample


def biased_sampling():
    """Choices for `make_sampling_free`."""
    return dict(
        sampling=dict(
            rpn=L(BiasedSampling)(batch_size=256, positive_fraction=0.5),
            roi=L(BiasedSampling)(batch_size=512, positive_fraction=0.25),
        ),
        normalizer=L(PerExample)(),
        boundary_threshold=-1,
    )
