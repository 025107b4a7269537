"""Forward and backward of a classification loss over raw maps, at COCO's size."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from sampling_free.heuristics import GHMC
from sampling_free.heuristics.focal import rows_of_maps
from sampling_free.mechanism import sigmoid_cross_entropy_sum
from tools.bench.measuring import DEVICE, Contestant, Goal, Race

Sizes = Sequence[tuple[int, int]]  # (H, W) per level


def races(*, quick: bool = False) -> list[Race]:
    """RetinaNet's classification at 800 x 1333, then an RPN's objectness."""
    scale, rounds = (8, 3) if quick else (1, 15)
    finest = [(200 // scale, 336 // scale), (100 // scale, 168 // scale), (50 // scale, 84 // scale)]
    coarse = [(25 // scale, 42 // scale), (13, 21), (7, 11)]
    retinanet, rpn = [*finest[1:], *coarse], [*finest, *coarse[:2]]
    return [
        _race("Classification loss, forward and backward", retinanet, anchors=9, num_classes=80, rounds=rounds),
        _race("The same for a region proposal network", rpn, anchors=3, num_classes=1, rounds=rounds),
    ]


def goals(race: Race) -> list[Goal]:
    """Of RetinaNet's classification."""
    if DEVICE == "cuda":
        return [Goal("loss, our time to reading the logits twice and writing once", race.time_ratio(0, 5), 1.5)]
    return [
        Goal("loss, focal's time to ours", race.time_ratio(1, 0), 5.0, at_least=True),
        Goal("loss, one-hot cross-entropy's time to ours", race.time_ratio(2, 0), 3.0, at_least=True),
        Goal("loss, our memory to focal's", race.memory_ratio(0, 1), 0.5),
        Goal("loss, our time to one exp and one sigmoid pass", race.time_ratio(0, 4), 3.0),
    ]


def _race(title: str, sizes: Sizes, *, anchors: int, num_classes: int, rounds: int) -> Race:
    """Ours, the two it replaces, and floors, over raw maps `(1, A*C, H, W)`."""
    torch.manual_seed(0)
    maps = [(torch.randn(1, anchors * num_classes, h, w, device=DEVICE) - 5).requires_grad_() for h, w in sizes]
    labels = _labels(sum(h * w for h, w in sizes) * anchors, num_classes)
    harmonised = GHMC().to(DEVICE)
    flat = [level.detach() for level in maps]

    def backward(loss: Tensor) -> None:
        for level in maps:
            level.grad = None
        loss.backward()

    def one_hot(loss: Callable[..., Tensor]) -> Callable[[], None]:
        return lambda: backward(loss(*rows_and_targets(maps, labels, num_classes), reduction="sum"))

    def each_level(*operators: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        def call() -> None:
            for level in flat:
                for operator in operators:
                    operator(level)

        return call

    contestants = [
        Contestant(
            "ours: `sigmoid_cross_entropy_sum`",
            lambda: backward(sigmoid_cross_entropy_sum(maps, labels, num_classes)),
        ),
        Contestant("torchvision's focal loss, one-hot", one_hot(sigmoid_focal_loss)),
        Contestant("torch's cross-entropy, one-hot", one_hot(F.binary_cross_entropy_with_logits)),
        Contestant("floor: one copy of the logits", each_level(torch.clone)),
        Contestant("floor: one exp and one sigmoid pass", each_level(torch.exp, torch.sigmoid)),
        Contestant("floor: read twice, write once", each_level(torch.sum, torch.clone)),
        Contestant("`GHMC`", lambda: backward(harmonised(maps, labels, num_classes))),
    ]
    return Race(f"{title}: {labels.shape[1]:,} anchors x {num_classes}", contestants, rounds)


def _labels(count: int, num_classes: int) -> Tensor:
    """`(1, count)`: background, a thousandth foreground, half a percent ignored."""
    labels = torch.full((1, count), num_classes, device=DEVICE)
    picks = torch.randperm(count)[: max(3, count // 100)].to(DEVICE)
    labels[0, picks[::10]] = torch.randint(num_classes, (len(picks[::10]),), device=DEVICE)
    labels[0, picks[1::2]] = -1
    return labels


def rows_and_targets(maps: list[Tensor], labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Rows and one-hot targets of the examples that are not ignored, as torchvision's RetinaNet makes them."""
    rows = rows_of_maps(maps, num_classes)
    foreground, valid = (labels >= 0) & (labels < num_classes), labels >= 0
    targets = torch.zeros_like(rows)
    targets[(*foreground.nonzero(as_tuple=True), labels[foreground])] = 1.0
    return rows[valid], targets[valid]
