"""Annotations: a generated data set, and the checks that every annotation file passes. Files and numpy; no host."""

from sampling_free.data.annotations import CheckedAnnotations, check_annotations
from sampling_free.data.shapes import generate_shapes
from sampling_free.data.voc import read_voc

__all__ = ["CheckedAnnotations", "check_annotations", "generate_shapes", "read_voc"]
