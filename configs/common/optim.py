"""The papers' optimiser; the learned loss scale has no weight decay."""

import torch

from sampling_free.config import LazyCall as L
from sampling_free.mechanism import parameter_groups

# the engine fills in the model
sgd = L(torch.optim.SGD)(
    params=L(parameter_groups)(model=None, weight_decay=1e-4),
    lr=0.01,
    momentum=0.9,
)
