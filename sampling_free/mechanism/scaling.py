"""At what scale does classification train? Four answers, each a module that takes the losses and returns them scaled.

All guide the classification loss by the localisation loss; in the papers' letters, where
L_cls, L_loc are the detector's normalised losses, [.] is detached.

    ConstantScaling   L_loc + w L_cls                                    (v1 Table 1, v2 Table II)
    GuidedScaling     L_loc + k [L_loc / L_cls] L_cls                    (v1 Eq. 5-8; k = 2 in RoI heads)
    LearnedScaling    L_loc + delta [L_loc / L_cls] L_cls - log(delta)   (v2 Eq. 24)
    FrozenScaling     sum of L_k / (2 sigma_k^2) + log(product of sigma_k), L_cls times a ratio
                      that is frozen after the warm-up                   (the authors' released code)

The first three touch the classification loss alone. At its optimum delta = 1 / L_loc, which makes the scaled
classification loss 1; sigma_k = sqrt(L_k), which makes every loss 1/2.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sampling_free.errors import UserError
from sampling_free.mechanism.processes import mean_over_processes

Losses = dict[str, Tensor]
Names = str | tuple[str, ...]


class LossScaling(nn.Module, ABC):
    """What the four share: the call, the sums over names, and what is kept for the log.

    A name may be a tuple of names whose losses count as one (the stages of Cascade R-CNN).
    """

    last: dict[str, Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.last = {}  # what the last forward saw; for logging, so it is not state

    @torch.jit.unused
    def forward(
        self, losses: Mapping[str, Tensor], classification: Names, localization: Names, **counts: Tensor
    ) -> Losses:
        """Scale a detector's losses.

        Args:
            losses: the scalars of one head, already normalised, under the host's names.
            classification: name or names of the classification loss.
            localization: name or names of the loss that guides it.
            counts: what else is to be logged of this batch, such as `num_foreground`; they change nothing.

        Returns:
            What is to be summed: the same keys, scaled, and a regulariser `<name>/regularizer` where the variant
            has one. `.last` then holds the detached raw losses as `raw/<name>`, the counts, and the variant's own
            figures.

        Raises:
            KeyError: a name is not among the losses.
        """
        classification, localization = _names(classification), _names(localization)
        for name in classification + localization:
            if name not in losses:
                raise KeyError(f"no loss named {name!r} to scale; there are {', '.join(losses)}")
        self.last = {f"raw/{name}": loss.detach() for name, loss in losses.items()} | counts
        return self.scale(dict(losses), classification, localization)

    @abstractmethod
    def scale(self, losses: Losses, classification: tuple[str, ...], localization: tuple[str, ...]) -> Losses:
        """Scale the losses by the rule of a subclass; see `forward`."""


class ConstantScaling(LossScaling):
    """L_loc + w L_cls with a constant w (v1 Table 1, v2 Table II); w = 1 changes nothing.

    Args:
        w: the weight.
    """

    def __init__(self, w: float = 1.0) -> None:
        super().__init__()
        self.w = w

    def scale(self, losses: Losses, classification: tuple[str, ...], localization: tuple[str, ...]) -> Losses:
        """Classification times w."""
        return _multiplied(losses, classification, self.w) if self.w != 1 else losses


class GuidedScaling(LossScaling):
    """L_loc + k [L_loc / L_cls] L_cls, the ratio taken anew in each iteration (v1 Eq. 5-8, Fig. 4).

    Numerically the scaled classification loss equals k L_loc; its gradient is k L_loc grad(log L_cls). The ratio is
    that of the losses averaged over processes. A batch without foreground has L_loc = 0 and would teach nothing:
    there the running ratio serves.

    Args:
        factor: k; the papers' RoI heads take 2.
        momentum: of the running ratio.
    """

    ratio: Tensor
    num_ratios: Tensor  # that the running ratio is made of

    def __init__(self, factor: float = 1.0, momentum: float = 0.9) -> None:
        super().__init__()
        self.factor = factor
        self.momentum = momentum
        self.register_buffer("ratio", torch.tensor(1.0))
        self.register_buffer("num_ratios", torch.tensor(0))
        self.register_load_state_dict_pre_hook(_read_older_state)

    def scale(self, losses: Losses, classification: tuple[str, ...], localization: tuple[str, ...]) -> Losses:
        """Classification times the factor and the guiding ratio."""
        ratio = self.guide(losses, classification, localization)
        self.last["ratio"] = self.factor * ratio
        return _multiplied(losses, classification, self.factor * ratio)

    def guide(self, losses: Losses, classification: tuple[str, ...], localization: tuple[str, ...]) -> Tensor:
        """L_loc / L_cls of this iteration, or the running one; a float32 scalar without gradient."""
        now = _ratio(_sum(losses, localization), _sum(losses, classification))
        usable = torch.isfinite(now) & (now > 0)
        ratio = torch.where(usable, now, self.ratio)
        if self.training:
            moved = self.ratio + (ratio - self.ratio) * (1 - self.momentum)
            self.ratio.copy_(torch.where(self.num_ratios > 0, moved, ratio))
            self.num_ratios += usable
        return ratio


class LearnedScaling(GuidedScaling):
    """L_loc + delta [L_loc / L_cls] L_cls - log(delta) with a learned delta, 1 at first (v2 Eq. 24).

    delta = d^2 with the parameter d keeps it positive, as in the authors' first code. delta -> 1 / L_loc, where the
    scaled classification loss is 1 and its gradient grad(log L_cls), whatever L_loc. So it gives classification more
    weight than `GuidedScaling` where L_loc is below 1, and less weight than localisation where L_loc stays above 1.
    `parameter_groups` exempts d from weight decay.
    """

    def __init__(self, momentum: float = 0.9) -> None:
        super().__init__(momentum=momentum)
        self.d = nn.Parameter(torch.ones(1))  # with a dimension, for sharded training divides parameters by it

    @property
    @torch.jit.unused
    def delta(self) -> Tensor:
        """The learned scale, a positive scalar."""
        return self.d[0] ** 2

    def scale(self, losses: Losses, classification: tuple[str, ...], localization: tuple[str, ...]) -> Losses:
        """Classification times delta and the guiding ratio, and the regulariser -log(delta)."""
        ratio = self.guide(losses, classification, localization)
        self.last |= {"ratio": ratio, "delta": self.delta.detach()}
        scaled = _multiplied(losses, classification, ratio * self.delta)
        return scaled | {f"{classification[0]}/regularizer": -torch.log(self.delta)}


class FrozenScaling(LossScaling):
    """The authors' released code: a ratio frozen after the warm-up, and uncertainty weights on every loss.

    Every loss of the dict other than the classification guides it (the mean of them, so FCOS's centerness too) and
    is itself weighted by 1 / (2 sigma^2). The ratio is that of the current iteration until the last of the warm-up,
    and that of the last one ever after: neither v1 nor v2 prints this. Unlike that code, the ratio of every iteration
    is averaged over processes, and a batch without foreground at the last call does not poison it: the running
    value is kept, and the freeze happens at the next batch with foreground.

    Args:
        warmup: calls until the ratio freezes.
        num_losses: K, the classification loss (its parts count as one) and the others.
    """

    ratio: Tensor
    calls: Tensor

    def __init__(self, warmup: int = 100, num_losses: int = 2) -> None:
        super().__init__()
        self.warmup = warmup
        self.sigmas = nn.Parameter(torch.ones(num_losses))
        self.register_buffer("ratio", torch.tensor(1.0))
        self.register_buffer("calls", torch.tensor(0))

    def scale(self, losses: Losses, classification: tuple[str, ...], localization: tuple[str, ...]) -> Losses:
        """Every loss weighted, and the regulariser log(product of sigma)."""
        others = [name for name in losses if name not in classification]
        if len(others) + 1 != len(self.sigmas):
            raise UserError(
                f"FrozenScaling was built for {len(self.sigmas)} losses, but there are {len(others) + 1}: "
                f"{'+'.join(classification)}, {', '.join(others)}; pass num_losses={len(others) + 1}"
            )
        ratio = self.guide(losses, classification, others)
        self.last |= {"ratio": ratio, "sigma": self.sigmas.detach().clone()}
        weight_cls, *weights = 0.5 / self.sigmas**2
        scaled = _multiplied(losses, classification, ratio * weight_cls)
        scaled |= {name: losses[name] * weight for name, weight in zip(others, weights, strict=True)}
        # sigma enters squared everywhere else, so its sign carries no meaning
        return scaled | {f"{classification[0]}/regularizer": self.sigmas.abs().log().sum()}

    def guide(self, losses: Losses, classification: tuple[str, ...], others: list[str]) -> Tensor:
        """The ratio in force, a float32 scalar without gradient."""
        now = _ratio(_sum(losses, tuple(others)) / len(others), _sum(losses, classification))
        usable = torch.isfinite(now) & (now > 0) & (self.calls < self.warmup)
        ratio = torch.where(usable, now, self.ratio)
        if self.training:
            self.ratio.copy_(ratio)
            self.calls += usable
        return ratio


def _read_older_state(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Checkpoints of version 0.1 said only whether there is a running ratio, and had a scalar d."""
    if (had := state.pop(f"{prefix}has_ratio", None)) is not None:
        state[f"{prefix}num_ratios"] = had.long()
    if (d := state.get(f"{prefix}d")) is not None and d.dim() == 0:
        state[f"{prefix}d"] = d.reshape(1)


def _names(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _sum(losses: Losses, names: tuple[str, ...]) -> Tensor:
    return torch.stack([losses[name].detach().float() for name in names]).sum()


def _ratio(localization: Tensor, classification: Tensor) -> Tensor:
    """Ratio of the two after averaging both over processes; one exchange."""
    loc, cls = mean_over_processes(torch.stack([localization, classification]))
    return loc / cls.clamp(min=torch.finfo(torch.float32).tiny)


def _multiplied(losses: Losses, names: tuple[str, ...], factor: Tensor | float) -> Losses:
    return {name: loss * factor if name in names else loss for name, loss in losses.items()}
