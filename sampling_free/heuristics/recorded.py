"""What a part of a host's model said, where the host's own code calls it and keeps the answer to itself."""

from typing import Any

from torch import nn


class Recorded:
    """A context that keeps the last output of a module as `output`.

    Args:
        module: called by somebody else inside the context.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.output: Any = None

    def __enter__(self) -> "Recorded":
        self._handle = self.module.register_forward_hook(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def _keep(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.output = output
