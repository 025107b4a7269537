"""Pictures of data, detections and runs, from files and numpy arrays; no host, no torch."""

from sampling_free.pictures.boxes import Box, class_colors, draw_boxes
from sampling_free.pictures.comparison import save_comparison
from sampling_free.pictures.curves import plot_losses, plot_precision_recall
from sampling_free.pictures.examples import Example, read_examples, save_examples, write_examples
from sampling_free.pictures.grid import save_grid
from sampling_free.pictures.metrics import read_json

__all__ = [
    "Box",
    "Example",
    "class_colors",
    "draw_boxes",
    "plot_losses",
    "plot_precision_recall",
    "read_examples",
    "read_json",
    "save_comparison",
    "save_examples",
    "save_grid",
    "write_examples",
]
