"""Focal Loss, the soft sampling of RetinaNet and FCOS (Lin et al., "Focal Loss for Dense Object Detection").

Letters: N images, L levels, A anchors per place, C classes, R examples of an image, M rows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss


class FocalLoss(nn.Module):
    """Sum of the focal losses of every example that is not ignored; torchvision's own function, to the last bit.

    Called like `sampling_free.mechanism.SigmoidCrossEntropy`, so the two are interchangeable (v1 Eq. 1, times N_f).

    Args:
        alpha: weight of the positive entries, `1 - alpha` of the negative; -1 for none.
        gamma: exponent of the modulating factor.
    """

    reduction = "sum"

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma

    @torch.jit.unused
    def forward(self, logits: Tensor | Sequence[Tensor], labels: Tensor, num_classes: int) -> Tensor:
        """Sum over rows `(M, C)` with labels `(M,)`, or over L raw maps `(N, A*C, H, W)` with labels `(N, R)`."""
        rows = rows_of_maps(logits, num_classes)
        valid, foreground = labels >= 0, (labels >= 0) & (labels < num_classes)
        targets = torch.zeros_like(rows)
        targets[(*foreground.nonzero(as_tuple=True), labels[foreground])] = 1.0
        return sigmoid_focal_loss(rows[valid], targets[valid], alpha=self.alpha, gamma=self.gamma, reduction="sum")

    def each(self, logits: Tensor, labels: Tensor, num_classes: int) -> Tensor:
        """Losses `(M,)` of the rows `(M, C)` themselves, for labels `(M,)`; PAA ranks anchors by them."""
        targets = (labels[:, None] == torch.arange(num_classes, device=labels.device)).to(logits.dtype)
        losses = sigmoid_focal_loss(logits, targets, alpha=self.alpha, gamma=self.gamma).sum(dim=1)
        return torch.where(labels >= 0, losses, 0.0)

    def extra_repr(self) -> str:
        """The two hyper-parameters."""
        return f"alpha={self.alpha}, gamma={self.gamma}"


def rows_of_maps(logits: Tensor | Sequence[Tensor], num_classes: int) -> Tensor:
    """Raw maps `(N, A*C, H, W)` of L levels as `(N, R, C)` in `(H, W, A)` order; rows `(M, C)` as they are."""
    if isinstance(logits, Tensor):
        return logits
    return torch.cat(
        [level.unflatten(1, (-1, num_classes)).permute(0, 3, 4, 1, 2).flatten(1, 3) for level in logits], dim=1
    )
