"""detectron2's checkpoints load without a word, though they lack what we add."""

from typing import Any

from torch import nn

# the parts that a sampling-free class adds to detectron2's
PARTS = ("scaling", "normalizer", "statistics", "classification_loss", "box_loss", "fitted_threshold")


def load_without_parts(module: nn.Module) -> None:
    """Let a checkpoint that has none of a module's `PARTS` load: they keep their values and are not reported missing.

    One that has some of them but not all is no checkpoint of detectron2's, and what it lacks is reported.
    """
    module.register_load_state_dict_pre_hook(_keep_parts)


def _keep_parts(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    own = {prefix + name: value for name, value in module.state_dict().items() if name.partition(".")[0] in PARTS}
    if not any(name in state_dict for name in own):
        state_dict.update(own)
