"""By what the losses are divided: the number of foreground examples (v1 Eq. 2, v2 Eq. 13)."""

import torch
from torch import Tensor, nn

from sampling_free.mechanism.processes import mean_over_processes


class ForegroundNormalizer(nn.Module):
    """N_f of the mini-batch, averaged over processes; the running N_f where a mini-batch has no foreground.

    A classification sum over background alone, divided by max(1, 0), would be hundreds of times larger than its
    neighbours. The running count keeps such batches at their usual weight, so that they still teach.

    Args:
        initial: the running count before any foreground was seen (detectron2's RetinaNet starts at 100 too).
        momentum: of the running count.
    """

    running: Tensor

    def __init__(self, initial: float = 100.0, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("running", torch.tensor(float(initial)))

    def forward(self, num_foreground: Tensor) -> Tensor:
        """Divisor, a float32 scalar without gradient, for a scalar count of this process's mini-batch."""
        count = mean_over_processes(num_foreground.detach().float())
        divisor = torch.where(count > 0, count, self.running)
        if self.training:
            self.running += (divisor - self.running) * (1 - self.momentum)
        return divisor
