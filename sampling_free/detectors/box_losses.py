"""What a wrong box costs. Letters: M foreground examples. Each is called with them and gives `(M,)`, or an average."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import generalized_box_iou_loss

from sampling_free.detectors.codings import Coding, YoloCoding
from sampling_free.detectors.quality import Foreground


class GIoULoss:
    """1 - GIoU of the decoded box (Rezatofighi et al., CVPR 2019): ATSS and PAA."""

    def __call__(self, foreground: Foreground, coding: Coding) -> Tensor:
        """Losses `(M,)`."""
        return generalized_box_iou_loss(foreground.predicted, foreground.boxes)


class SmoothL1Loss:
    """Smooth L1 of the coded numbers, summed over the four: FoveaBox.

    Args:
        beta: where it turns from quadratic to linear; 0.11 in the authors' code.
    """

    def __init__(self, beta: float = 0.11) -> None:
        self.beta = beta

    def __call__(self, foreground: Foreground, coding: Coding) -> Tensor:
        """Losses `(M,)`."""
        targets = coding.encode(foreground.boxes, foreground.anchors)
        return F.smooth_l1_loss(foreground.raw.float(), targets, beta=self.beta, reduction="none").sum(dim=1)


class CodedLoss(nn.Module):
    """A heuristic's loss of the coded numbers, such as `GHMR()`, in place of smooth L1.

    Args:
        loss: called with the coded boxes `(M, 4)`, predicted and true; gives an average by itself.
    """

    reduction = "mean"

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, foreground: Foreground, coding: Coding) -> Tensor:
        """A scalar."""
        return self.loss(foreground.raw, coding.encode(foreground.boxes, foreground.anchors))


class YoloLoss:
    """YOLOv3's: cross-entropy of the place in the cell, half the squared error of the logarithms of the size.

    The paper says squared error for the place too, but defines its gradient as target less prediction (Section 2.1, and
    so does darknet), which is cross-entropy's. A box weighs 2 - w h, its sides in shares of the image's.
    """

    def __call__(self, foreground: Foreground, coding: Coding) -> Tensor:
        """Losses `(M,)`.

        Raises:
            TypeError: the coding is no `YoloCoding`.
        """
        if not isinstance(coding, YoloCoding):
            raise TypeError(f"YoloLoss compares places in cells, which {type(coding).__name__} does not have")
        place, log_ratio = coding.cell_and_ratio(foreground.boxes, foreground.anchors)
        raw = foreground.raw.float()
        cross_entropy = F.binary_cross_entropy_with_logits(raw[:, :2], place.clamp(0, 1), reduction="none")
        squared = F.mse_loss(raw[:, 2:], log_ratio, reduction="none") / 2
        extent = torch.tensor(foreground.anchors.extent, device=raw.device)
        share = ((foreground.boxes[:, 2:] - foreground.boxes[:, :2]) / extent).prod(dim=1)
        return (2 - share) * (cross_entropy + squared).sum(dim=1)
