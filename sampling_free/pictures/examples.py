"""A few evaluation images with what is in them and what a run found: `examples.json` of a run folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from sampling_free.errors import UserError
from sampling_free.pictures.boxes import Box, Image, draw_boxes, legend_of, save_grid

_SIDE = 260  # pixels of an image in the grid, at least


@dataclass(frozen=True)
class Example:
    """One image with its ground truth and a run's detections.

    Attributes:
        path: of the image.
        truth: boxes without scores.
        detections: boxes with scores.
    """

    path: Path
    truth: list[Box]
    detections: list[Box]

    def image(self) -> Image:
        """The image, RGB.

        Raises:
            UserError: it cannot be read.
        """
        image = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        if image is None:
            raise UserError(f"image {self.path} cannot be read")
        return image[..., ::-1].copy()  # type: ignore[return-value]

    def shown(self) -> list[Box]:
        """As many of the best detections as there are objects: no threshold suits the scores of every detector."""
        best = sorted(self.detections, key=lambda box: box.score or 0, reverse=True)
        return best[: len(self.truth)]


def write_examples(path: str | Path, examples: Sequence[Example]) -> None:
    """Write examples as json."""
    content = [
        {
            "path": str(example.path.resolve()),
            "truth": [[*box.corners, box.name] for box in example.truth],
            "detections": [[*box.corners, box.name, box.score] for box in example.detections],
        }
        for example in examples
    ]
    Path(path).write_text(json.dumps(content))


def read_examples(path: str | Path) -> list[Example]:
    """Read what `write_examples` wrote."""
    return [
        Example(
            Path(record["path"]),
            [Box(tuple(box[:4]), box[4]) for box in record["truth"]],
            [Box(tuple(box[:4]), box[4], box[5]) for box in record["detections"]],
        )
        for record in json.loads(Path(path).read_text())
    ]


def save_examples(path: str | Path, runs: Mapping[str, Sequence[Example]]) -> None:
    """Ground truth in the first row, one run's detections in each further row.

    Args:
        path: of the picture.
        runs: per run its examples; the same images in the same order.
    """
    first = next(iter(runs.values()))
    shown = [[example.truth for example in first], *([example.shown() for example in run] for run in runs.values())]
    legend = legend_of(box.name for row in shown for boxes in row for box in boxes)
    images = [example.image() for example in first]
    rows = [
        [draw_boxes(image, boxes, side=_SIDE, colors=legend) for image, boxes in zip(images, row, strict=True)]
        for row in shown
    ]
    save_grid(path, rows, ["ground truth", *runs], legend=legend)
