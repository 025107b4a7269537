"""The training application of detectron2 models, on detectron2's own trainer; the method itself needs none of it."""
