"""Draw the detections of a trained model on images.

    sampling-free predict --config-file CONFIG --weights CHECKPOINT image.jpg folder/ --output OUT

writes each image with its detections, and predictions.json with their boxes (XYXY, pixels of the image upright), names,
scores and masks (COCO's RLE). Exit status 2: a mistake; 1: some images of a folder could not be read, the others are
done.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from PIL import Image
from tqdm import tqdm

from sampling_free import config, pictures
from sampling_free.commands import command_line
from sampling_free.data.images import SUFFIXES, read_image
from sampling_free.errors import UserError
from sampling_free.runs.launch import engine_of

if TYPE_CHECKING:
    from sampling_free.pictures import Box

logger = logging.getLogger(__name__)

_SHOWN = 0.3  # for eyes; AP is computed from far lower scores on


class Predictor:
    """A trained model of any host, from a config and its weights.

    Args:
        cfg: names the engine, the model and the data set whose categories it knows.
        weights: path of a checkpoint.

    Raises:
        UserError: the weights are not there or of another model.
    """

    def __init__(self, cfg: DictConfig, weights: str | Path) -> None:
        self.engine = engine_of(cfg)
        self.model = self.engine.load_model(cfg, weights)
        self.names = self._names(cfg, weights)

    def _names(self, cfg: DictConfig, weights: str | Path) -> Mapping[int, str]:
        try:
            return self.engine.category_names(cfg, weights)
        except UserError as error:  # the data need not be on the machine that predicts
            logger.warning("class numbers stand for names: %s", error)
            return {}

    def __call__(self, image: NDArray[np.uint8], threshold: float, name: str = "") -> tuple["list[Box]", float]:
        """Detections in an image `(H, W, 3)` uint8 RGB with at least a score, and the highest score of all.

        Raises:
            UserError: the model cannot take the image of this name.
        """
        try:
            found = self.engine.predict(self.model, image)
        except UserError as error:
            raise UserError(f"image {name}: {error}") from error
        masks = found.get("masks", [None] * len(found["boxes"]))
        boxes = [
            pictures.Box(
                tuple(corners.tolist()),
                self.names.get(int(label), f"class {int(label)}"),
                float(score),
                None if mask is None else mask.reshape(image.shape[:2]) > 0.5,
            )
            for corners, label, score, mask in zip(found["boxes"], found["labels"], found["scores"], masks, strict=True)
            if score >= threshold and (not self.names or int(label) in self.names)  # others are no category's column
        ]
        return boxes, max(map(float, found["scores"]), default=0.0)


def predict(predictor: Predictor, inputs: Sequence[Path], output: Path, *, threshold: float = _SHOWN) -> int:
    """Draw every image; returns how many images of folders could not be read.

    Args:
        predictor: the model.
        inputs: images, and folders of images.
        output: folder for the pictures and predictions.json.
        threshold: least score.

    Raises:
        UserError: an input that does not exist, a folder without images, an image among `inputs` that cannot be read.
    """
    images = list(_images(inputs))
    paths, predictions, highest, unreadable = _Names(output), [], 0.0, 0
    for path in tqdm(images, desc="predicting", unit=" images"):
        try:
            image = read_image(path)
            boxes, best = predictor(image, threshold, str(path))
        except UserError as error:
            if path in inputs:
                raise
            logger.warning("%s; left out", error)
            unreadable += 1
            continue
        highest = max(highest, best)
        Image.fromarray(pictures.draw_boxes(image, boxes)).save(paths.of(path), quality=92)
        predictions.append({"image": str(path), "height": image.shape[0], "width": image.shape[1]})
        predictions[-1]["detections"] = [_record(box) for box in boxes]
    (output / "predictions.json").write_text(json.dumps(predictions, indent=1), encoding="utf-8")
    if predictions and not any(prediction["detections"] for prediction in predictions):
        logger.warning("nothing scores %g or more; the highest score is %.3g: try --threshold", threshold, highest)
    return unreadable


def _best_threshold(weights: Path) -> float:
    """The score threshold with the best F1 in the evaluation of the run that weights are of; says which."""
    analysis = Path(weights).parent.parent / "analysis.json"
    found = pictures.read_json(analysis).get("threshold") if analysis.is_file() else None
    if not found:
        return _SHOWN
    logger.info("score threshold %.3g, which had the best F1 in %s", found, analysis)
    return float(found)


def _images(inputs: Sequence[Path]) -> Iterator[Path]:
    for path in inputs:
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            if not found:
                raise UserError(f"folder {path} holds no image ({', '.join(sorted(SUFFIXES))})")
            yield from found
        elif path.is_file():
            yield path
        else:
            raise UserError(f"there is no image or folder {path}")


class _Names:
    """Pictures' paths in a folder, no two the same though a.png and b/a.jpg may be among the images."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"output folder {folder} cannot be made ({error.strerror}); set --output") from error
        self.folder = folder
        self.taken: set[str] = set()

    def of(self, image: Path) -> Path:
        name, number = image.stem, 1
        while name in self.taken:
            number += 1
            name = f"{image.stem}-{number}"
        self.taken.add(name)
        return self.folder / f"{name}.jpg"


def _record(box: "Box") -> dict[str, Any]:
    record: dict[str, Any] = {"box": list(box.corners), "name": box.name, "score": box.score}
    if box.mask is not None:
        from pycocotools import mask as coco_mask

        encoded = coco_mask.encode(np.asfortranarray(box.mask, dtype=np.uint8))
        record["segmentation"] = {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")}
    return record


def command(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog=command_line.program(),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", metavar="IMAGE|FOLDER|key=value", help="what to predict; overrides")
    parser.add_argument("--config-file", required=True, metavar="FILE")
    parser.add_argument("--weights", required=True, metavar="FILE", help="a checkpoint of a run, or a state dict")
    parser.add_argument("--output", type=Path, default=Path("output/predictions"), metavar="FOLDER")
    parser.add_argument(
        "--threshold",
        type=float,
        help=f"least score to draw and write; default: the best one of the run's evaluation, or {_SHOWN}",
    )
    options = parser.parse_intermixed_args(arguments)
    overrides = [text for text in options.inputs if "=" in text and not Path(text).exists()]
    inputs = [Path(text) for text in options.inputs if text not in overrides]
    if not inputs:
        raise UserError("there is nothing to predict: name an image or a folder of images")
    list(_images(inputs))  # before a model loads
    cfg = config.load(options.config_file, overrides, required=("model", "engine", "dataloader"))
    predictor = Predictor(cfg, options.weights)
    threshold = options.threshold if options.threshold is not None else _best_threshold(options.weights)
    unreadable = predict(predictor, inputs, options.output, threshold=threshold)
    sys.stdout.write(f"Look at {options.output}: pictures, and predictions.json.\n")
    if unreadable:
        sys.stderr.write(f"{unreadable} of the images could not be read; they are named above\n")
    return 1 if unreadable else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command, its mistakes said in one sentence."""
    return command_line.run(command, arguments)


if __name__ == "__main__":
    sys.exit(main())
