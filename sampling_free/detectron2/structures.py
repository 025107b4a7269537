"""The door: detectron2's instances, matches and labels on one side, the mechanism's labels on the other.

Letters: N images, R examples of an image, C classes, M boxes.

Inside, a label is a class in `[0, C)`, `C` for background, `-1` for ignored. detectron2's RetinaNet, FCOS and RoI heads
say the same; its region proposal network says 1, 0, -1. Nobody else translates.
"""

from collections.abc import Sequence

import torch
from detectron2.structures import Instances
from torch import Tensor

from sampling_free.errors import UserError


def check_classes(targets: Sequence[Instances], num_classes: int) -> None:
    """Refuse `gt_classes` outside `[0, num_classes)`, which would train as background without a word.

    Raises:
        UserError: naming the class, the image's place in the batch, and the number of classes.
    """
    classes = torch.cat([target.gt_classes for target in targets]) if len(targets) else torch.empty(0)
    if not classes.numel():
        return
    lowest, highest = torch.stack(classes.aminmax()).tolist()  # one wait for the device
    if 0 <= lowest and highest < num_classes:
        return
    for place, target in enumerate(targets):
        wrong = target.gt_classes[(target.gt_classes < 0) | (target.gt_classes >= num_classes)]
        if len(wrong):
            raise UserError(
                f"class {int(wrong[0])} of image {place} of this batch is out of range: a model with "
                f"num_classes={num_classes} takes gt_classes from 0 to {num_classes - 1}; mend the annotations or "
                f"build the model with another num_classes"
            )


def exchanged(labels: Tensor) -> Tensor:
    """Mechanism labels (0 foreground, 1 background, -1) from a proposal network's (1, 0, -1), and back; any shape."""
    return torch.where(labels < 0, labels, 1 - labels)


def labels_of_matches(matches: Tensor, match_labels: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Labels `(R,)` of proposals.

    Args:
        matches: `(R,)`, index of each proposal's best box.
        match_labels: `(R,)`, what the matcher says of it: 1 foreground, 0 background, -1 ignored.
        classes: `(M,)` of the boxes, M may be 0.
        num_classes: C.
    """
    if not len(classes):
        return torch.full_like(matches, num_classes)
    unmatched = torch.where(match_labels == 0, num_classes, -1)
    return torch.where(match_labels == 1, classes[matches], unmatched)
