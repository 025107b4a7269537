"""A few evaluation images with what is in them and what a run found: `examples.json` of a run folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sampling_free.data.images import read_image
from sampling_free.pictures.boxes import Box, Image, Rectangle, class_colors, draw_boxes
from sampling_free.pictures.grid import save_grid

_SIDE = 420  # pixels of an image in the picture, at least: labels stay legible where a page shows it at 800
_ROWS = 3  # images in the picture
_IOU = 0.5  # from which on a detection is a hit
_NOTE = "solid: found; dashed: a false alarm, or an object that was missed"


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
        return read_image(self.path)

    def judged(self) -> list[Box]:
        """Detections and missed objects; false alarms and misses are dashed.

        There are as many detections as objects, the best ones: no threshold suits the scores of every detector.
        """
        best = sorted(self.detections, key=lambda box: box.score or 0, reverse=True)[: len(self.truth)]
        missed, judged = list(self.truth), []
        for box in best:
            fitting = [other for other in missed if other.name == box.name]
            match = max(fitting, key=lambda other: iou(box.corners, other.corners), default=None)
            hit = match is not None and iou(box.corners, match.corners) >= _IOU
            if match is not None and hit:
                missed.remove(match)
            judged.append(replace(box, dashed=not hit))
        return judged + [replace(box, dashed=True) for box in missed]


def iou(one: Rectangle, other: Rectangle) -> float:
    """Intersection over union of two boxes, XYXY; 0 for two without area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return common / (areas - common) if areas > common else 0.0


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
    Path(path).write_text(json.dumps(content), encoding="utf-8")


def read_examples(path: str | Path) -> list[Example]:
    """Read what `write_examples` wrote."""
    return [
        Example(
            Path(record["path"]),
            [Box(tuple(box[:4]), box[4]) for box in record["truth"]],
            [Box(tuple(box[:4]), box[4], box[5]) for box in record["detections"]],
        )
        for record in json.loads(Path(path).read_text(encoding="utf-8"))
    ]


def save_examples(path: str | Path, runs: Mapping[str, Sequence[Example]]) -> None:
    """A row an image: ground truth in the first column, what each run found in a further one.

    Args:
        path: of the picture.
        runs: per title of a column a run's examples; the same images in the same order.
    """
    first = next(iter(runs.values()))
    chosen = range(0, len(first), max(1, len(first) // _ROWS))[:_ROWS]
    rows = [[first[i].truth, *(run[i].judged() for run in runs.values())] for i in chosen]
    colors = class_colors(box.name for row in rows for boxes in row for box in boxes)
    images = [first[i].image() for i in chosen]
    drawn = [
        [draw_boxes(image, boxes, side=_SIDE, most=2 * _SIDE, colors=colors) for boxes in row]
        for image, row in zip(images, rows, strict=True)
    ]
    save_grid(path, drawn, ["ground truth", *runs], _NOTE)
