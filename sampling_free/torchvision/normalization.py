"""By what a head's losses are divided: see `sampling_free.mechanism.normalization`, whose names these are."""

from sampling_free.mechanism.normalization import (
    DenseNormalizer,
    PerExample,
    PerForeground,
    PerImage,
    SampledNormalizer,
    SumOf,
    over,
    sum_of,
)

__all__ = ["DenseNormalizer", "PerExample", "PerForeground", "PerImage", "SampledNormalizer", "SumOf", "over", "sum_of"]
