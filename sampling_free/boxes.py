"""Overlap of boxes, and centerness of points in boxes. Letters: M boxes, R other boxes, XYXY in pixels."""

import torch
from torch import Tensor
from torchvision.ops import box_area, box_iou, nms


def pairwise_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU `(M, R)` of boxes `(M, 4)` with others `(R, 4)`; 0 where both are empty.

    `torchvision.ops.box_iou` gives the same, but lays out x and y in turns: this takes a third of its time on a CPU.
    """
    mine, theirs = boxes.T[..., None].contiguous(), others.T[:, None].contiguous()
    common = torch.minimum(mine[2], theirs[2]).sub_(torch.maximum(mine[0], theirs[0])).clamp_(min=0)
    height = torch.minimum(mine[3], theirs[3]).sub_(torch.maximum(mine[1], theirs[1])).clamp_(min=0)
    common *= height
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (mine, theirs)]
    return common.div_(torch.add(*areas, out=height).sub_(common).clamp_(min=torch.finfo(common.dtype).eps))


def centerness(points: Tensor, boxes: Tensor) -> Tensor:
    """sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)), `(M,)` in [0, 1] (FCOS, Eq. 3); 0 outside the box.

    Args:
        points: `(M, 2)`.
        boxes: `(M, 4)`.
    """
    before, after = (points - boxes[:, :2]).clamp(min=0), (boxes[:, 2:] - points).clamp(min=0)
    ratios = torch.minimum(before, after) / torch.maximum(before, after).clamp(min=1e-6)
    return ratios.prod(dim=1).sqrt()


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
