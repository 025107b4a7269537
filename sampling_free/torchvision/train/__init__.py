"""The training application of torchvision models, on Lightning; the method itself needs none of it."""
