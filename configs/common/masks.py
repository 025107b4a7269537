"""Masks for Mask R-CNN: in training, evaluation and AP."""


def with_masks(dataloader):
    """Turn on the masks of a data node, in place, and return it."""
    dataloader["train"]["dataset"].masks = True
    dataloader["test"]["dataset"].masks = True
    dataloader["test"]["masks"] = True
    return dataloader
