"""Whose gradient is it? Shares of foreground and of classification, exact, while a model trains.

Letters: C classes, L levels, R examples of an image, N images.

The papers argue by sizes of gradients (v2 Section III, Eq. 7 to 11) and show losses. These figures show the gradients.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sampling_free.errors import UserError
from sampling_free.mechanism.scaling import LossScaling


class GradientShares:
    """Measures shares of the gradient in the training steps that are asked for.

    It listens to the losses that a step computes anyway, and differentiates them once more: no second forward pass, no
    other random numbers, and the gradients of the step itself stay as they are. A measured step has two
    further backward passes through the backbone.

    - `foreground`: the sum of |dL_cls / dx| over the logits x of foreground examples, divided by that over all examples
      (v2 Eq. 8 and 9). One-stage heads alone have it: they have a `classification_loss`.
    - `classification`: |g_cls| / (|g_cls| + |g_loc|), with the L2 norms of both losses' gradients, as they train, in
      the weights of the backbone (with its pyramid). The losses beside classification that a head scales or is guided
      by count as localisation: those of boxes and of their quality, not those of masks.

    Args:
        model: with sampling-free heads, also those with a heuristic in them.

    Attributes:
        values: of the last step measured: the two figures by name, each in [0, 1]. With several heads a name begins
            with its head's: `rpn/classification`. A figure without any gradient is left out.

    Raises:
        UserError: no head of the model has a loss scale.
    """

    def __init__(self, model: nn.Module) -> None:
        paths = [path for path, module in model.named_modules() if isinstance(module, LossScaling)]
        if not paths:
            raise UserError(
                f"shares of the gradient need a head of this project, and {type(model).__name__} has none; call "
                f"make_sampling_free(model), with FocalLoss() and ConstantScaling() for its own form"
            )
        self.values: dict[str, float] = {}
        self._asked = False
        self._backbone = [p for name, p in model.named_parameters() if "backbone" in name.split(".")]
        self._heads: dict[str, _Head] = {}
        for path in paths:
            owner = path.rpartition(".")[0]
            head = self._heads.setdefault(path.partition(".")[0], _Head())
            model.get_submodule(path).register_forward_hook(head.hear_losses)
            loss = getattr(model.get_submodule(owner), "classification_loss", None)
            if isinstance(loss, nn.Module):
                loss.register_forward_hook(head.hear_examples)
        model.register_forward_pre_hook(self._listen)
        model.register_forward_hook(self._measure)

    def ask(self) -> None:
        """Measure the next training step."""
        self._asked = True

    def _listen(self, model: nn.Module, _: Any) -> None:
        for head in self._heads.values():
            head.start(listening=self._asked and model.training and torch.is_grad_enabled())

    def _measure(self, *_: Any) -> None:
        if not any(head.listening for head in self._heads.values()):
            return
        self._asked = False
        trained = [parameter for parameter in self._backbone if parameter.requires_grad]
        self.values = {
            f"{name}/{figure}" if len(self._heads) > 1 else figure: value
            for name, head in self._heads.items()
            for figure, value in head.shares(trained).items()
        }
        for head in self._heads.values():
            head.start(listening=False)  # nothing of a batch stays reachable


class _Head:
    """The losses and examples of one head, recorded during a step."""

    def __init__(self) -> None:
        self.start(listening=False)

    def start(self, *, listening: bool) -> None:
        """Forget what was heard."""
        self.listening = listening
        self.examples: list[tuple[list[Tensor], Tensor, int]] = []
        self.classification: list[Tensor] = []
        self.localization: list[Tensor] = []

    def hear_losses(self, _: nn.Module, arguments: tuple[Any, ...], scaled: Mapping[str, Tensor]) -> None:
        """Record the scaled losses of a `LossScaling`, as they train."""
        if not self.listening:
            return
        names = (arguments[1],) if isinstance(arguments[1], str) else arguments[1]
        for name, loss in scaled.items():
            if loss.requires_grad:
                (self.classification if name in names else self.localization).append(loss)

    def hear_examples(self, _: nn.Module, arguments: tuple[Any, ...], __: Tensor) -> None:
        """Record the logits, the labels and C of a classification loss."""
        if self.listening:
            logits, labels, num_classes = arguments
            self.examples.append(([logits] if isinstance(logits, Tensor) else list(logits), labels, num_classes))

    def shares(self, backbone: list[nn.Parameter]) -> dict[str, float]:
        """The figures of what was heard."""
        found: dict[str, float] = {}
        if self.examples and self.classification:
            foreground, every = self._sizes_at_logits()
            found |= {"foreground": foreground / every} if every > 0 else {}
        if backbone:
            ours, theirs = _norm(self.classification, backbone), _norm(self.localization, backbone)
            found |= {"classification": ours / (ours + theirs)} if ours + theirs > 0 else {}
        return found

    def _sizes_at_logits(self) -> tuple[float, float]:
        """Sums of |dL_cls / dx| over foreground and over all examples."""
        logits = [level for levels, _, _ in self.examples for level in levels]
        gradients = iter(_gradients(self.classification, logits))
        foreground = every = 0.0
        for levels, labels, num_classes in self.examples:
            rows = torch.cat([_per_example(next(gradients), num_classes) for _ in levels], dim=1)
            positive = (labels >= 0) & (labels < num_classes)
            foreground += rows[positive.reshape(rows.shape)].sum().item()
            every += rows.sum().item()
        return foreground, every


def _per_example(gradient: Tensor, num_classes: int) -> Tensor:
    """Sums `(N, H*W*A)` over the classes of |gradient|, of a map `(N, A*C, H, W)` or of rows `(R, C)` (N is 1)."""
    if gradient.dim() == 2:
        return gradient.double().abs().sum(dim=1)[None]
    by_anchor = gradient.double().abs().unflatten(1, (-1, num_classes)).sum(dim=2)
    return by_anchor.permute(0, 2, 3, 1).flatten(start_dim=1)


def _norm(losses: Iterable[Tensor], parameters: list[nn.Parameter]) -> float:
    """L2 norm of the gradient of a sum of losses."""
    return torch.stack([gradient.double().norm() for gradient in _gradients(losses, parameters)]).norm().item()


def _gradients(losses: Iterable[Tensor], places: list[Any]) -> tuple[Tensor, ...]:
    """The gradients of the losses' sum, taken in float32; the graph stays for the step's own backward pass."""
    losses = list(losses)
    if not losses:
        return tuple(torch.zeros_like(place) for place in places)
    total = torch.stack([loss.float() for loss in losses]).sum()
    return torch.autograd.grad(total, places, retain_graph=True, allow_unused=True, materialize_grads=True)
