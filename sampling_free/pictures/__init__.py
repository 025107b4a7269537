"""Pictures of data, detections and runs, from files and numpy arrays; no host, no torch.

A name is loaded when it is asked for: reading a run's figures needs no drawing library.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampling_free.pictures.boxes import Box, class_colors, draw_boxes
    from sampling_free.pictures.comparison import save_comparison
    from sampling_free.pictures.curves import plot_losses, plot_precision_recall
    from sampling_free.pictures.examples import Example, read_examples, save_examples, write_examples
    from sampling_free.pictures.gradients import plot_gradients
    from sampling_free.pictures.grid import save_grid
    from sampling_free.pictures.metrics import read_json

_HOMES = {
    "boxes": ("Box", "class_colors", "draw_boxes"),
    "comparison": ("save_comparison",),
    "curves": ("plot_losses", "plot_precision_recall"),
    "examples": ("Example", "read_examples", "save_examples", "write_examples"),
    "gradients": ("plot_gradients",),
    "grid": ("save_grid",),
    "metrics": ("read_json",),
}

__all__ = [
    "Box",
    "Example",
    "class_colors",
    "draw_boxes",
    "plot_gradients",
    "plot_losses",
    "plot_precision_recall",
    "read_examples",
    "read_json",
    "save_comparison",
    "save_examples",
    "save_grid",
    "write_examples",
]


def __getattr__(name: str) -> Any:
    """A public name, from the module that has it."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
