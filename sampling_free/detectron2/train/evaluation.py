"""detectron2's evaluation of a model, with figures that are numbers and files that a comparison reads."""

import contextlib
import io
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.evaluation import (
    COCOEvaluator,
    DatasetEvaluator,
    PascalVOCDetectionEvaluator,
    coco_evaluation,
    inference_on_dataset,
)
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.structures import BoxMode
from detectron2.utils.registry import locate
from pycocotools.coco import COCO
from torch import nn

from sampling_free import config
from sampling_free.data import matched
from sampling_free.detectron2.train.loading import require_registered
from sampling_free.detectron2.train.voc_evaluation import check_voc
from sampling_free.errors import UserError
from sampling_free.runs.curves import write_curves

logger = logging.getLogger(__name__)

_BOXES = ["AP", "AP50", "AP75", "APs", "APm", "APl"]
_METRICS = {"bbox": _BOXES, "segm": _BOXES, "keypoints": ["AP", "AP50", "AP75", "APm", "APl"]}


class CocoEvaluator(COCOEvaluator):
    """detectron2's `COCOEvaluator` on checked annotations. Without detections AP is 0, with a note, and not NaN.

    A figure without any ground truth (no small object, say) is left out. Writes `coco_results_<task>.json`, COCO's
    result format, which its test-dev server takes, and `precision_recall.json`.

    Args:
        dataset_name: under which the data set is registered.
        output_dir: of the files; None writes none.
        options: what else detectron2's takes.
    """

    def __init__(self, dataset_name: str, output_dir: str | None = None, **options: Any) -> None:
        with _instead_of_the_file(MetadataCatalog.get(dataset_name).get("truth")):
            super().__init__(dataset_name, output_dir=output_dir, **({"allow_cached_coco": False} | options))
        self._folder = None if output_dir is None else Path(output_dir)
        self._output_dir = None  # detectron2 would write everything twice more
        self._has_masks = False
        truth = self._metadata.get("truth")
        if truth is not None:
            self._coco_api = _index(truth)
            self._do_evaluation = True
        elif self._do_evaluation:  # a file's own ids are no one's names: COCO's tool takes 0 for "no match"
            boxes = self._coco_api.dataset["annotations"]
            numbered = [box | {"id": number} for number, box in enumerate(boxes, start=1)]
            self._coco_api = _index(self._coco_api.dataset | {"annotations": numbered})

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Take in detections."""
        self._has_masks |= any(output["instances"].has("pred_masks") for output in outputs if "instances" in output)
        super().process(inputs, outputs)

    def _tasks_from_predictions(self, predictions: list[dict[str, Any]]) -> list[str]:
        """Masks are evaluated where the model makes them, also where it found nothing."""
        tasks = super()._tasks_from_predictions(predictions)
        return sorted({*tasks, "segm"}) if self._has_masks else tasks

    def _eval_predictions(self, predictions: list[dict[str, Any]], img_ids: Any = None) -> None:
        results = [result for prediction in predictions for result in prediction["instances"]]
        tasks = self._tasks or self._tasks_from_predictions(results)  # afterwards all have masks, made of boxes
        with contextlib.redirect_stdout(io.StringIO()) as said:  # standard output is for results
            super()._eval_predictions(predictions, img_ids)
        logger.debug("%s", said.getvalue())
        if self._folder is None:
            return
        kinds = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}
        for task in tasks:
            wanted = ("image_id", "category_id", "score", kinds[task])
            chosen = [{name: result[name] for name in wanted} for result in results]
            (self._folder / f"coco_results_{task}.json").write_text(json.dumps(chosen))

    def _derive_coco_results(self, coco_eval: Any, iou_type: str, class_names: Any = None) -> dict[str, float]:
        if not any(not box.get("iscrowd", 0) for box in self._coco_api.anns.values()):
            logger.warning("The data have no box at all but of crowds: there is no %s AP to compute.", iou_type)
            return {}
        if coco_eval is None:
            logger.warning("No detections: %s AP is 0. A higher score threshold than any score does this.", iou_type)
            classes = class_names if class_names is not None and len(class_names) > 1 else ()
            return dict.fromkeys([*_METRICS[iou_type], *(f"AP-{name}" for name in classes)], 0.0)
        if iou_type == "bbox" and self._folder is not None:
            write_curves(self._folder, coco_eval, list(class_names or []))
        results = super()._derive_coco_results(coco_eval, iou_type, class_names)
        return {name: value for name, value in results.items() if np.isfinite(value)}


@contextlib.contextmanager
def _instead_of_the_file(truth: dict[str, Any] | None) -> Iterator[None]:
    """Within it detectron2 takes checked annotations, where there are some: those of the file may lack ids."""
    reads = coco_evaluation.COCO
    if truth is not None:
        coco_evaluation.COCO = lambda file: _index(truth)
    try:
        yield
    finally:
        coco_evaluation.COCO = reads


class Matched(DatasetEvaluator):
    """An evaluator whose data number their classes otherwise than the model, or lack some of them.

    Args:
        evaluator: of the data.
        numbers: of a class in the data, by its number in the model. What is found of another class does not count.
    """

    def __init__(self, evaluator: Any, numbers: Mapping[int, int]) -> None:
        self.evaluator = evaluator
        self.numbers = numbers

    def reset(self) -> None:
        """Call the wrapped evaluator's method of this name."""
        self.evaluator.reset()

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Take in detections."""
        self.evaluator.process(inputs, [self._renumbered(output) for output in outputs])

    def evaluate(self) -> Any:
        """Call the wrapped evaluator's method of this name."""
        return self.evaluator.evaluate()

    def _renumbered(self, output: dict[str, Any]) -> dict[str, Any]:
        if "instances" not in output:
            return output
        found = output["instances"]
        known = torch.tensor([int(label) in self.numbers for label in found.pred_classes], dtype=torch.bool)
        found = found[known.to(found.pred_classes.device)]
        found.pred_classes = torch.tensor(
            [self.numbers[int(label)] for label in found.pred_classes],
            dtype=torch.int64,
            device=found.pred_classes.device,
        )
        return output | {"instances": found}


def matched_by_name(
    evaluator: Any, records: list[dict[str, Any]], categories: list[str], labels: Mapping[int, str], source: str
) -> Any:
    """An evaluator for a model that numbers classes by their names.

    Args:
        evaluator: of the data.
        records: the data.
        categories: names of their classes, in the order of their numbers.
        labels: name of each class of the model.
        source: name of the data.

    Raises:
        UserError: there are boxes of a class that the model does not know.
    """
    used = {box["category_id"] for record in records for box in record.get("annotations", ())}
    named = [{"id": number, "name": name} for number, name in enumerate(categories)]
    numbers = {label: number for number, label in matched(labels, named, used, source).items()}
    return evaluator if numbers == {number: number for number in labels} else Matched(evaluator, numbers)


def evaluator_of(node: Any, folder: Path, name: str) -> Any:
    """The evaluator of a config: detectron2's for COCO in the form of this file, any other as it is.

    Args:
        node: `dataloader.evaluator`.
        folder: of the run, where result files go.
        name: of the test data, for an evaluator that names none.

    Raises:
        UserError: the data set is not made for it.
    """
    call = config.plain(node)
    target = locate(call["_target_"]) if isinstance(call["_target_"], str) else call["_target_"]
    if target in (CocoEvaluator, COCOEvaluator):
        call |= {"_target_": CocoEvaluator, "dataset_name": call.get("dataset_name", name)}
        call["output_dir"] = call.get("output_dir") or str(folder)
    if "dataset_name" in call:
        require_registered(call["dataset_name"], "dataloader.evaluator.dataset_name")
    try:
        evaluator = config.instantiate(call, "dataloader.evaluator")
    except AttributeError as error:  # detectron2's catalog, of what the data set does not say about itself
        raise UserError(
            f"data set {call.get('dataset_name')!r} cannot be evaluated by {target.__name__}: {error}"
        ) from error
    if target is PascalVOCDetectionEvaluator:
        check_voc(evaluator)
    return evaluator


def evaluate(model: nn.Module, batches: Iterable, evaluator: Any) -> dict[str, float]:
    """The figures of a model by name (`bbox/AP`, `bbox/AP-<class>`), in percent; empty on other than the first process.

    Without annotations (COCO's test-dev) there are none.
    """
    results = inference_on_dataset(model, batches, evaluator)
    flat: Mapping[str, Any] = flatten_results_dict({task: figures for task, figures in results.items() if figures})
    undefined = [name for name, value in flat.items() if not np.isfinite(value)]
    if undefined:
        logger.warning("Not a number, and counted as 0 (a class without ground truth?): %s.", ", ".join(undefined))
    if (
        flat and not any(flat.values()) and not isinstance(getattr(evaluator, "evaluator", evaluator), CocoEvaluator)
    ):  # which says so itself
        logger.warning("Every figure is 0: there were no detections, or none was right.")
    return {name: 0.0 if name in undefined else float(value) for name, value in flat.items()}


def truth_of(records: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """A registered data set as the content of a COCO file, for pictures."""
    metadata = MetadataCatalog.get(name)
    truth = metadata.get("truth")
    images = [{"id": record["image_id"], "file_name": record["file_name"]} for record in records]
    if truth is not None:
        return truth | {"images": images}
    categories = {number: identity for identity, number in _contiguous(metadata).items()}
    annotations = [
        {
            "image_id": record["image_id"],
            "category_id": categories[annotation["category_id"]],
            "bbox": BoxMode.convert(annotation["bbox"], annotation["bbox_mode"], BoxMode.XYWH_ABS),
            "iscrowd": annotation.get("iscrowd", 0),
        }
        for record in records
        for annotation in record.get("annotations", ())
    ]
    names = metadata.get("thing_classes", [])
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": categories[number], "name": name} for number, name in enumerate(names)],
    }


def _contiguous(metadata: Any) -> dict[int, int]:
    ids = metadata.get("thing_dataset_id_to_contiguous_id")
    return ids or {number: number for number in range(len(metadata.get("thing_classes", [])))}


def _index(content: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco
