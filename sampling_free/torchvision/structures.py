"""The door: torchvision's targets, matches and samplers on one side, the mechanism's labels on the other.

Letters: N images, R examples of an image, C classes, M boxes.

Inside, a label is a class in `[0, C)`, `C` for background, `-1` for ignored. torchvision has three alphabets: indices
of ground-truth boxes (-1 background, -2 ignored) in dense heads; 1, 0, -1 in the region proposal network; class numbers
from 1 with 0 for background in the RoI heads. Nobody else translates.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sampling_free.errors import UserError

Target = dict[str, Tensor]


def labels_of_matches(targets: list[Target], matched_idxs: list[Tensor], num_classes: int) -> Tensor:
    """Labels `(N, R)` of a dense head from the indices that its matcher gave.

    torchvision's RetinaNet and FCOS use a ground-truth label as the column of the logits, unchanged.

    Args:
        targets: per image `labels` `(M,)`.
        matched_idxs: per image `(R,)`: index of a ground-truth box, -1 background, -2 ignored.
        num_classes: C, columns of the logits.

    Raises:
        UserError: a ground-truth label has no column.
    """
    labels = []
    check_targets(targets, num_classes)
    for target, matches in zip(targets, matched_idxs, strict=True):
        classes = torch.cat([target["labels"], target["labels"].new_tensor([num_classes, -1])])
        # a negative index counts from the end: -1 must find the background, -2 the ignored
        background_first = torch.where(matches < 0, len(target["labels"]) - 1 - matches, matches)
        labels.append(classes[background_first])
    return torch.stack(labels)


def check_labels(target: Target, num_classes: int, lowest: int = 0) -> None:
    """Refuse labels outside `[lowest, num_classes)`, which would train as background without a word.

    Raises:
        UserError: naming the label, the image where the target says which, and the number of classes.
    """
    labels = target["labels"]
    if labels.numel() and not lowest <= int(labels.min()) <= int(labels.max()) < num_classes:
        wrong = labels[(labels < lowest) | (labels >= num_classes)][0]
        raise UserError(
            f"label {int(wrong)}{_of_image(target)} is out of range: a model with num_classes={num_classes} takes "
            f"labels from {lowest} to {num_classes - 1}; mend the annotations or build the model with another number"
        )


def _of_image(target: Mapping[str, Any]) -> str:
    """Words that name the image of a target which says so."""
    if "image_id" not in target:
        return ""
    name = target["image_id"]
    return f" of image {name.item() if isinstance(name, Tensor) and name.numel() == 1 else name}"


def check_boxes(target: Mapping[str, Any]) -> None:
    """Refuse a target that torchvision would refuse in training, or would train to NaN on.

    Raises:
        UserError: naming the image where the target says which, and what is wrong: no boxes, boxes that are none, or
            another number of labels.
    """
    missing = [name for name in ("boxes", "labels") if name not in target]
    empty = "an image without objects has boxes of shape (0, 4) and labels of shape (0,), and trains as background"
    if missing:
        raise UserError(f"the target{_of_image(target)} has no {missing[0]}; {empty}")
    boxes, labels = (torch.as_tensor(target[name]) for name in ("boxes", "labels"))
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise UserError(f"boxes{_of_image(target)} have the shape {tuple(boxes.shape)}, not (M, 4); {empty}")
    if len(labels) != len(boxes):
        raise UserError(f"the target{_of_image(target)} has {len(boxes)} boxes and {len(labels)} labels")
    good = boxes.isfinite().all(dim=1) & (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    if not good.all():
        wrong = [round(float(value), 2) for value in boxes[~good][0]]
        raise UserError(
            f"box {wrong}{_of_image(target)} is no [x1, y1, x2, y2] with x1 < x2 and y1 < y2; mend it or leave it out "
            f"(COCO's boxes are [x, y, width, height])"
        )


def check_targets(targets: Sequence[Target], num_classes: int, lowest: int = 0) -> None:
    """`check_labels` of every image, and what torchvision lets pass: boxes that are no numbers, labels without a box.

    One wait for the device, whatever the number of images.

    Raises:
        UserError: naming the image where the target says which.
    """
    for target in targets:
        if len(target["labels"]) != len(target["boxes"]):
            numbers = f"{len(target['boxes'])} boxes and {len(target['labels'])} labels"
            raise UserError(f"the target{_of_image(target)} has {numbers}")
    labels = torch.cat([target["labels"] for target in targets]) if targets else torch.empty(0)
    if not labels.numel():
        return
    finite = torch.cat([target["boxes"] for target in targets]).isfinite().all()
    least, most, finite = torch.stack([*labels.aminmax(), finite.to(labels.dtype)]).tolist()
    if least < lowest or most >= num_classes or not finite:
        for target in targets:
            check_labels(target, num_classes, lowest)
            check_boxes(target)


def objectness_labels(labels: Tensor) -> Tensor:
    """Mechanism labels (0 foreground, 1 background, -1) from a region proposal network's (1, 0, -1); any shape."""
    return torch.where(labels < 0, -1, 1 - labels).to(torch.int64)


def ground_truth(targets: list[Target]) -> list[Tensor]:
    """Boxes `(M, 4)` of each image, XYXY."""
    return [target["boxes"] for target in targets]


def proposal_labels(labels: Tensor, num_classes: int) -> Tensor:
    """Mechanism labels (class from 0, C background, -1) from RoI heads' (class from 1, 0 background, -1)."""
    return torch.where(labels > 0, labels - 1, torch.where(labels == 0, num_classes, -1))


def check_types(targets: Sequence[Target]) -> None:
    """Refuse what torchvision refuses: labels that are no int64, boxes and keypoints that are no floating numbers.

    Raises:
        UserError: naming the entry and its type.
    """
    for target in targets:
        for name, whole in (("boxes", False), ("labels", True), ("keypoints", False)):
            values = target.get(name)
            if values is not None and (values.dtype != torch.int64 if whole else not values.is_floating_point()):
                wanted = "int64" if whole else "a floating type"
                raise UserError(f"target {name} must be of {wanted}, not {values.dtype}; convert them in the data set")


def all_labelled(labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Masks `(R,)` of the foreground and of the background, per image: a sampler of torchvision's that samples nothing.

    Args:
        labels: per image `(R,)`: positive foreground, 0 background, negative ignored.
    """
    return [label > 0 for label in labels], [label == 0 for label in labels]


def take_over(module: nn.Module, host: nn.Module, kind: type[nn.Module]) -> None:
    """Give a module without parts all that one of torchvision's has: parts, settings, hooks.

    Args:
        module: `nn.Module` has initialised it.
        host: the other, which stays as it is.
        kind: its class.

    Raises:
        UserError: `host` is of another class.
    """
    if type(host) is not kind:
        what = "already sampling-free" if isinstance(host, type(module)) else f"a {type(host).__name__}"
        raise UserError(f"make_sampling_free converts a plain {kind.__name__}, but this one is {what}")
    for name, value in vars(host).items():
        vars(module)[name] = copy.copy(value) if isinstance(value, dict | set) else value
