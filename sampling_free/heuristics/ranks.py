"""Ranks inside groups, and what overlaps what. Letters: R examples of an image, M ground-truth boxes."""

import torch
from torch import Tensor
from torchvision.ops import box_area, box_iou, nms


def ranks_within(values: Tensor, groups: Tensor) -> Tensor:
    """Rank of each value inside its group: 0 is the highest; of equal values the first ranks higher.

    Args:
        values: `(R,)`.
        groups: `(R,)`, integers.

    Returns:
        `(R,)`, int64.
    """
    order = values.argsort(descending=True, stable=True)
    order = order[groups[order].argsort(stable=True)]  # group after group, each from high to low
    sorted_groups = groups[order].contiguous()
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order), device=order.device) - torch.searchsorted(sorted_groups, sorted_groups)
    return ranks


def ranks(values: Tensor) -> Tensor:
    """Rank of each value `(R,)`: 0 is the highest; of equal values the first ranks higher."""
    return ranks_within(values, torch.zeros_like(values, dtype=torch.int64))


def best_overlap(boxes: Tensor, ground_truth: Tensor) -> tuple[Tensor, Tensor]:
    """Highest IoU of each box `(R, 4)` with a ground-truth box `(M, 4)`, and the index of that; 0 where M is 0."""
    if not len(ground_truth):
        return boxes.new_zeros(len(boxes)), torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    ious, indices = box_iou(ground_truth.to(boxes.dtype), boxes).max(dim=0)
    return ious, indices


def suppressed_by(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """For each box the one that non-maximum suppression keeps in its place: itself, or the best that overlaps it.

    Args:
        boxes: `(R, 4)`, XYXY.
        scores: `(R,)`.
        iou_threshold: boxes with a higher IoU suppress each other.

    Returns:
        `(R,)`, int64: places, counted from the best, among the kept boxes.
    """
    if not len(boxes):
        return torch.empty(0, dtype=torch.int64, device=boxes.device)
    kept = nms(boxes, scores, iou_threshold)  # from the best down
    ious = box_iou(boxes, boxes[kept]).nan_to_num()  # of two boxes without area it is nan
    overlaps = ious > iou_threshold
    # nms and box_iou may round a value at the threshold apart
    group = torch.where(overlaps.any(dim=1), overlaps.int().argmax(dim=1), ious.argmax(dim=1))
    group[kept] = torch.arange(len(kept), device=boxes.device)
    return group


def paired_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU `(R,)` of each box with its own partner, `(R, 4)` and `(R, 4)`, XYXY; 0 for two without area."""
    low, high = torch.maximum(boxes[:, :2], others[:, :2]), torch.minimum(boxes[:, 2:], others[:, 2:])
    intersection = (high - low).clamp(min=0).prod(dim=1)
    union = box_area(boxes) + box_area(others) - intersection
    return intersection / union.clamp(min=torch.finfo(union.dtype).tiny)
