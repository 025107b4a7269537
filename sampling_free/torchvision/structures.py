"""The door: torchvision's targets, matches and samplers on one side, the mechanism's labels on the other.

Letters: N images, R examples of an image, C classes, M boxes.

Inside, a label is a class in `[0, C)`, `C` for background, `-1` for ignored. torchvision has three alphabets: indices
of ground-truth boxes (-1 background, -2 ignored) in dense heads; 1, 0, -1 in the region proposal network; class numbers
from 1 with 0 for background in the RoI heads. Nobody else translates.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sampling_free.errors import UserError
from sampling_free.mechanism import Evidence, ExampleChoice, WeightedChoice

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
    check_all_labels(targets, num_classes)
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
        image = f" of image {int(target['image_id'])}" if "image_id" in target else ""
        raise UserError(
            f"label {int(wrong)}{image} is out of range: a model with num_classes={num_classes} takes labels from "
            f"{lowest} to {num_classes - 1}; mend the annotations or build the model with another num_classes"
        )


def check_all_labels(targets: Sequence[Target], num_classes: int) -> None:
    """`check_labels` of every image, for one wait for the device."""
    labels = torch.cat([target["labels"] for target in targets]) if targets else torch.empty(0)
    if labels.numel():
        lowest, highest = torch.stack(labels.aminmax()).tolist()
        if lowest < 0 or highest >= num_classes:
            for target in targets:
                check_labels(target, num_classes)


def objectness_labels(labels: Tensor) -> Tensor:
    """Mechanism labels (0 foreground, 1 background, -1) from a region proposal network's (1, 0, -1); any shape."""
    return torch.where(labels < 0, -1, 1 - labels).to(torch.int64)


def ground_truth(targets: list[Target]) -> list[Tensor]:
    """Boxes `(M, 4)` of each image, XYXY."""
    return [target["boxes"] for target in targets]


def proposal_labels(labels: Tensor, num_classes: int) -> Tensor:
    """Mechanism labels (class from 0, C background, -1) from RoI heads' (class from 1, 0 background, -1)."""
    return torch.where(labels > 0, labels - 1, torch.where(labels == 0, num_classes, -1))


class Sampler:
    """A choice of examples in the place of torchvision's `fg_bg_sampler`.

    Keeps what the last batch held, for the log and for the normaliser.

    Args:
        examples: which examples train.

    Attributes:
        evidence: of the images of the next batch; the head sets it.
        weights: of the last batch's examples that train, `(M,)`, where the choice weighs them.
    """

    def __init__(self, examples: ExampleChoice) -> None:
        self.examples = examples
        self.num_foreground = 0
        self.num_examples = 0
        self.evidence: Sequence[Evidence] | None = None
        self.weights: Tensor | None = None

    def __call__(self, labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Masks `(R,)` of the foreground and of the background that train, per image.

        Args:
            labels: per image `(R,)`: positive foreground, 0 background, negative ignored.
        """
        evidence = [None] * len(labels) if self.evidence is None else self.evidence
        self.evidence = None
        # one class is enough to choose by: what matters is foreground, background, ignored
        by_kind = [objectness_labels(label.sign()) for label in labels]
        if isinstance(self.examples, WeightedChoice):
            chosen = self._chosen_with_weights(self.examples, by_kind, evidence)
        else:
            chosen = [self.examples(label, 1, known) for label, known in zip(by_kind, evidence, strict=True)]
        foreground, background = [label == 0 for label in chosen], [label == 1 for label in chosen]
        kinds = [torch.cat(masks).sum() for masks in (foreground, background)]
        self.num_foreground, num_background = torch.stack(kinds).tolist()  # one wait for the device
        self.num_examples = self.num_foreground + num_background
        return foreground, background

    def _chosen_with_weights(
        self, examples: WeightedChoice, labels: list[Tensor], evidence: Sequence[Evidence | None]
    ) -> list[Tensor]:
        chosen, weights = [], []
        for label, known in zip(labels, evidence, strict=True):
            drawn, weights_of_drawn = examples.draw_weighted(label, 1, known)
            thinned = torch.full_like(label, -1)
            thinned[drawn] = label[drawn]
            chosen.append(thinned)
            weights.append(weights_of_drawn[drawn.argsort()])  # torchvision sorts what it trains on by index
        self.weights = torch.cat(weights)
        return chosen

    @property
    def num_averaged(self) -> int:
        """What torchvision divides its losses by."""
        return self.num_examples

    def __repr__(self) -> str:
        return f"Sampler({self.examples!r})"
