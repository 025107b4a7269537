"""What `train` of a config holds on this host: detectron2's own keys, and ours with their defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from sampling_free.errors import UserError
from sampling_free.runs import options
from sampling_free.runs.launch import Launch
from sampling_free.runs.options import YES_OR_NO, whole

# a config of detectron2's knows nothing of these
_DEFAULTS: dict[str, Any] = {
    "init_checkpoint": "",
    "seed": 0,
    "clip_grad": None,
    "prior": "auto",
    "device": "cuda",
    "amp": {"enabled": False, "dtype": "fp16"},
    "ddp": {},
    "checkpointer": {"period": 5000},
}
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
_AMP = {"enabled": YES_OR_NO, "dtype": (lambda value: value in _HALF, "bf16 or fp16")}
_CHECKPOINTER = {"period": whole(0, "a whole number; 0 writes checkpoints/last.pth only at the end")}


@dataclass(frozen=True)
class Options:
    """`train` of a config, checked.

    Attributes:
        output_dir: of the run.
        init_checkpoint: weights to start from, or to evaluate; "" for none.
        max_iter: iterations.
        eval_period: iterations between evaluations, 0 for the last one alone.
        log_period: iterations between rows of metrics.csv.
        checkpoint_period: iterations between writes of last.pth, 0 for the end alone.
        seed: of weights, data order, augmentation and everything random in the model.
        clip_grad: largest norm of the gradient, or None.
        prior: "auto", a number or None.
        device: "cuda" or "cpu".
        half: data type of mixed precision, or None.
        ddp: arguments of detectron2's `create_ddp_model`.
    """

    output_dir: str
    init_checkpoint: str
    max_iter: int
    eval_period: int
    log_period: int
    checkpoint_period: int
    seed: int
    clip_grad: float | None
    prior: str | float | None
    device: str
    half: torch.dtype | None
    ddp: Mapping[str, Any]

    @classmethod
    def of(cls, train: DictConfig, launch: Launch) -> "Options":
        """Compare a config's `train` with what this machine and this engine can do.

        Raises:
            UserError: a key is missing or its value makes no sense; it names the key.
        """
        node: Any = OmegaConf.merge(_DEFAULTS, OmegaConf.to_container(train, resolve=True))
        for name in ("output_dir", "init_checkpoint"):
            if not isinstance(node.get(name), str):
                raise UserError(f"train.{name} must be a path, not {node.get(name)!r}")
        options.check_options(node, options.SHARED)
        options.check_options(node.amp, _AMP, where="train.amp")
        options.check_options(node.checkpointer, _CHECKPOINTER, where="train.checkpointer")
        if node.device not in ("cuda", "cpu"):
            raise UserError(f"train.device must be cuda (the CPU where there is none) or cpu, not {node.device!r}")
        options.check_devices(launch)
        shared = {name: node[name] for name in ("output_dir", "init_checkpoint", *options.SHARED)}
        return cls(
            **shared,
            checkpoint_period=node.checkpointer.period,
            device="cuda" if node.device == "cuda" and torch.cuda.is_available() else "cpu",
            half=_HALF[node.amp.dtype] if node.amp.enabled else None,
            ddp=dict(node.ddp),
        )
