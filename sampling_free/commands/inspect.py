"""What a data set holds before anything trains: mistakes, classes, sizes, how rare the foreground of a detector is.

    sampling-free inspect DATA

DATA as for `sampling-free train`. Writes OUTPUT/classes.csv, foreground.csv and inspect.png, and says it in words.
"""

import argparse
import csv
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sampling_free.commands import command_line

logger = logging.getLogger(__name__)

_DETECTORS = ("retinanet", "fcos", "faster_rcnn", "atss", "paa", "foveabox", "yolov3")
_MOST = 500  # images to count the foreground in


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog=command_line.program(), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("data", type=Path, metavar="DATA", help="a folder of images and annotations, or a file in it")
    options.add_argument("--layout", help="coco, voc or yolo, where several lie side by side")
    options.add_argument("--backbone", help="of the detectors; default as sampling-free train chooses")
    options.add_argument("--output", type=Path, metavar="FOLDER", help="default output/DATA/inspect")
    return options


def inspect(options: argparse.Namespace) -> Path:
    """Look at a data set; returns the folder of what was written.

    Raises:
        UserError: the data cannot be read, or have no box at all.
    """
    from sampling_free.data.annotations import check_annotations
    from sampling_free.data.layouts import find
    from sampling_free.own_data.figures import Figures
    from sampling_free.pictures.inspection import Inspection, save_inspection

    data = find(options.data, options.layout)
    say(data.sentence)
    checked = {
        split: check_annotations(content, data.root, source=f"{options.data} ({split})")
        for split, content in data.splits.items()
    }
    figures = {split: Figures.of(part.coco) for split, part in checked.items()}
    for split, part in checked.items():
        say(f"  {split}: {part.summary}; {'mistakes are named above' if part.problems else 'no mistake found'}")
    inspection = Inspection(data.root.name, {c["id"]: c["name"] for c in checked["train"].coco["categories"]}, figures)
    for detector in _DETECTORS:
        inspection.counts[detector], scale = _count(
            detector, figures["train"], inspection.names, options, checked, data
        )
        inspection.scales[detector] = scale
    output = options.output or Path("output", data.root.name, "inspect")
    output.mkdir(parents=True, exist_ok=True)
    say("", *inspection.lines())
    for name, rows in (("classes", inspection.class_rows()), ("foreground", inspection.foreground_rows())):
        with (output / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    save_inspection(output / "inspect.png", inspection)
    return output


def _count(detector: str, figures: Any, names: Any, options: argparse.Namespace, checked: Any, data: Any) -> Any:
    """Foreground of a detector as `sampling-free train` would build it, and what it resizes images by."""
    import torch

    from sampling_free import config
    from sampling_free.commands.train_folder import machine, write_config
    from sampling_free.own_data.choices import choose
    from sampling_free.torchvision.counting import count_by_level

    choices = choose(figures, detector, "torchvision", machine(), {"backbone": options.backbone}, len(names))
    with tempfile.TemporaryDirectory() as folder:
        write_config(Path(folder) / "config.py", choices, data.root, len(figures.images))
        model = config.instantiate(config.load(Path(folder) / "config.py").model, "model")
    numbers = {identity: place for place, identity in enumerate(names, start=1)}
    with torch.no_grad():
        counts = count_by_level(model, _shapes(checked["train"].coco, numbers))
    return counts, choices.scale


def _shapes(coco: dict[str, list[dict[str, Any]]], numbers: dict[int, int]) -> Iterator[Any]:
    """Sizes and boxes of evenly chosen images."""
    import torch

    boxes: dict[int, list[dict[str, Any]]] = {}
    for entry in coco["annotations"]:
        if not entry["iscrowd"]:
            boxes.setdefault(entry["image_id"], []).append(entry)
    for image in coco["images"][:: max(1, len(coco["images"]) // _MOST)]:
        mine = boxes.get(image["id"], [])
        corners = torch.tensor([entry["bbox"] for entry in mine], dtype=torch.float32).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        labels = torch.tensor([numbers[entry["category_id"]] for entry in mine], dtype=torch.int64)
        yield image["height"], image["width"], corners, labels


def say(*lines: str) -> None:
    """Tell the user."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def command(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    output = inspect(parser().parse_args(arguments))
    say("", f"Look at {output}/inspect.png; the figures are in {output}/classes.csv and foreground.csv.")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command, its mistakes said in one sentence."""
    return command_line.run(command, arguments)


if __name__ == "__main__":
    sys.exit(main())
