"""The method: what is turned into its sampling-free form, in place, when a baseline is."""

from sampling_free.detectron2 import SCALE_OVERRIDES, make_sampling_free


def sampling_free(model, dataloader, optimizer, **choices):
    """Every example trains: those of images without objects too. Choices are those of `make_sampling_free`."""
    make_sampling_free(model, **choices)
    dataloader.train.dataset.filter_empty = False
    optimizer.params.overrides = SCALE_OVERRIDES  # a learned scale has no weight decay
