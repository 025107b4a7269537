"""Annotations and images: a generated data set, the reader of images, the check of every annotation file; no host."""

from sampling_free.data.annotations import CheckedAnnotations, check_annotations
from sampling_free.data.categories import matched
from sampling_free.data.images import read_image
from sampling_free.data.shapes import generate_shapes
from sampling_free.data.voc import read_voc

__all__ = ["CheckedAnnotations", "check_annotations", "generate_shapes", "matched", "read_image", "read_voc"]
