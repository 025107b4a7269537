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
    "gradient_shares": False,
    "device": "cuda",
    "amp": {"enabled": False, "dtype": "fp16"},
    "ddp": {},
    "checkpointer": {"period": 5000},
}
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
_AMP = {"enabled": YES_OR_NO, "dtype": (lambda value: value in _HALF, "bf16 or fp16")}
_CHECKPOINTER = {"period": whole(0, "a whole number; 0 writes checkpoints/last.pth only at the end")}


@dataclass(frozen=True)
class Options(options.Options):
    """`train` of a config, checked.

    Attributes:
        device: "cuda" or "cpu".
        half: data type of mixed precision, or None.
        ddp: arguments of detectron2's `create_ddp_model`.
    """

    device: str
    half: torch.dtype | None
    ddp: Mapping[str, Any]

    @classmethod
    def of(cls, train: Mapping[str, Any], launch: Launch) -> "Options":
        """Compare a config's `train` with what this machine and this engine can do.

        Raises:
            UserError: a key is missing or its value makes no sense; it names the key.
        """
        node = _DEFAULTS | dict(train)
        options.check_options(node, options.SHARED)
        for name, rules in (("amp", _AMP), ("checkpointer", _CHECKPOINTER), ("ddp", {})):
            if not isinstance(node[name], Mapping):
                raise UserError(f"train.{name} must be a mapping of keys to values, not {node[name]!r}")
            node[name] = _DEFAULTS[name] | dict(node[name])
            options.check_options(node[name], rules, where=f"train.{name}")
        if node["device"] not in ("cuda", "cpu"):
            raise UserError(f"train.device must be cuda (the CPU where there is none) or cpu, not {node['device']!r}")
        options.check_devices(launch)
        return cls(
            output_dir=node.get("output_dir", ""),
            **{name: node[name] for name in options.SHARED},
            checkpoint_period=node["checkpointer"]["period"],
            device="cuda" if node["device"] == "cuda" and torch.cuda.is_available() else "cpu",
            half=_HALF[node["amp"]["dtype"]] if node["amp"]["enabled"] else None,
            ddp=dict(node["ddp"]),
        )


def refuse_other_classes(model: Any, cfg: DictConfig, categories: list[str], key: str) -> None:
    """Check that the model has as many classes as the data.

    Raises:
        UserError: it has not.
    """
    num_classes = getattr(getattr(model, "roi_heads", model), "num_classes", None)
    owners = ("model", "model.roi_heads", "model.head")
    path = next((p for p in owners if "num_classes" in (OmegaConf.select(cfg, p) or {})), "model")
    if categories and num_classes is not None and num_classes != len(categories):
        raise UserError(
            f"{key} has {len(categories)} categories ({', '.join(categories[:5])}"
            f"{', ...' if len(categories) > 5 else ''}), but the model was built with {path}.num_classes="
            f"{num_classes}; set {path}.num_classes={len(categories)}"
        )
