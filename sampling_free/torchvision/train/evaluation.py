"""COCO AP of boxes and masks, as pycocotools defines it. Letters: D detections of an image, K categories."""

import contextlib
import importlib.util
import io
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor

from sampling_free.errors import UserError
from sampling_free.mechanism.processes import gathered
from sampling_free.runs.curves import write_curves
from sampling_free.torchvision.train.datasets import DetectionDataset
from sampling_free.torchvision.train.false_alarms import false_alarms

logger = logging.getLogger(__name__)

_NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl")  # the first six figures of COCO's summary, in its order


class CocoEvaluator:
    """Collects detections of a data set and computes their average precision.

    Args:
        dataset: whose `.coco` is the ground truth.
        masks: evaluate masks too.
        backend: "pycocotools", "faster_coco_eval" (the same figures, faster), or "auto": the latter where installed.

    Raises:
        UserError: an unknown backend, or one that is not installed.
    """

    def __init__(self, dataset: DetectionDataset, *, masks: bool = False, backend: str = "auto") -> None:
        self.dataset = dataset
        self.kinds = ("bbox", "segm") if masks else ("bbox",)
        self.backend = _backend(backend)
        self.results: list[dict[str, Any]] = []

    def update(self, image_ids: Iterable[int], predictions: Iterable[Mapping[str, Tensor]]) -> None:
        """Add the detections of some images.

        Args:
            image_ids: COCO's.
            predictions: per image `boxes` `(D, 4)` XYXY pixels, `scores` `(D,)`, `labels` `(D,)` as in the data set's
                targets, and for masks `masks` `(D, 1, H, W)` in [0, 1]: what torchvision's models return.
        """
        for image_id, prediction in zip(image_ids, predictions, strict=True):
            self.results += self._results(int(image_id), {k: v.detach().cpu() for k, v in prediction.items()})

    def compute(self, output_dir: str | Path | None = None) -> dict[str, float]:
        """Average precision in percent, over the detections of all processes.

        Names are detectron2's: `bbox/AP`, `bbox/AP50`, ..., `bbox/AP-<category>`, and `segm/...`. A figure without any
        ground truth (no small object, say) is left out: all of them for images that only COCO's server can score.
        Without detections AP is 0. A data set with background images has `bbox/false-alarms` too: see `false_alarms`.

        Args:
            output_dir: where to write `coco_results_<kind>.json` (COCO's result format, original category ids) and
                `precision_recall.json`.
        """
        results = [result for share in gathered(self.results) for result in share]
        metrics: dict[str, float] = {}
        for kind in self.kinds:
            evaluation = self._evaluate(kind, results)
            metrics |= self._metrics(kind, evaluation)
            metrics |= self._false_alarms(results) if kind == "bbox" else {}
            if output_dir is not None:
                self._write(Path(output_dir), kind, results, evaluation)
        return metrics

    def _results(self, image_id: int, prediction: dict[str, Tensor]) -> list[dict[str, Any]]:
        boxes = prediction["boxes"]
        xywh = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).tolist()
        results: list[dict[str, Any]] = []
        for box, score, label in zip(xywh, prediction["scores"].tolist(), prediction["labels"].tolist(), strict=True):
            category = self.dataset.category_of_label.get(label)
            if category is not None:  # a column without a category: torchvision's background, an unused COCO id
                results.append({"image_id": image_id, "category_id": category, "bbox": box, "score": score})
            else:
                results.append({})
        if "segm" in self.kinds:
            for result, mask in zip(results, prediction["masks"], strict=True):
                encoded = coco_mask.encode(np.asfortranarray(mask[0].numpy() > 0.5, dtype=np.uint8))
                encoded["counts"] = encoded["counts"].decode("ascii")
                result["segmentation"] = encoded
        return [result for result in results if "category_id" in result]

    def _evaluate(self, kind: str, results: list[dict[str, Any]]) -> Any:
        """COCOeval after accumulation, or None without detections or ground truth."""
        if not self._has_objects():
            logger.warning("The data have no box at all but of crowds: there is no %s AP to compute.", kind)
            return None
        if not results:
            logger.warning("No detections: %s AP is 0. A higher score threshold than any score does this.", kind)
            return None
        coco_class, eval_class = self.backend
        with contextlib.redirect_stdout(io.StringIO()) as said:
            truth = coco_class()
            truth.dataset = self.dataset.coco.dataset
            truth.createIndex()
            # an XYWH area is computed for boxes, that of the mask for masks; both are what COCO's own tool does
            detections = truth.loadRes([_result(result, kind) for result in results])
            evaluation = eval_class(truth, detections, kind)
            evaluation.params.imgIds = sorted(self.dataset.image_ids)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        logger.debug("%s", said.getvalue())
        return evaluation

    def _has_objects(self) -> bool:
        return any(not box.get("iscrowd", 0) for box in self.dataset.coco.anns.values())

    def _metrics(self, kind: str, evaluation: Any) -> dict[str, float]:
        if not self._has_objects():
            return {}
        if evaluation is None:
            return {f"{kind}/{name}": 0.0 for name in (*_NAMES, *(f"AP-{c}" for c in self.dataset.categories))}
        figures = dict(zip(_NAMES, evaluation.stats[:6], strict=True))
        precision = evaluation.eval["precision"]  # thresholds, recalls, K, areas, most detections
        for index, category in enumerate(self.dataset.categories):
            figures[f"AP-{category}"] = _mean(precision[:, :, index, 0, -1])
        return {f"{kind}/{name}": 100 * float(value) for name, value in figures.items() if value > -1}

    def _false_alarms(self, results: list[dict[str, Any]]) -> dict[str, float]:
        if not self.dataset.background or not results:
            return {}
        alarms = false_alarms(self.dataset.coco.dataset, results, self.dataset.background)
        if alarms is None:
            logger.warning("Less than 80 % of the boxes are found at any score: there are no false alarms to count.")
        return {} if alarms is None else {"bbox/false-alarms": alarms}

    def _write(self, folder: Path, kind: str, results: list[dict[str, Any]], evaluation: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"coco_results_{kind}.json").write_text(json.dumps([_result(result, kind) for result in results]))
        if kind == "bbox" and evaluation is not None:
            write_curves(folder, evaluation, self.dataset.categories)


def _backend(name: str) -> tuple[type, type]:
    installed = importlib.util.find_spec("faster_coco_eval") is not None
    if name == "faster_coco_eval" and not installed:
        raise UserError("evaluation backend faster_coco_eval is not installed; `pip install faster-coco-eval`")
    if name == "faster_coco_eval" or (name == "auto" and installed):
        from faster_coco_eval import COCO, COCOeval_faster

        return COCO, COCOeval_faster
    if name in ("pycocotools", "auto"):
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        return COCO, COCOeval
    raise UserError(f"evaluation backend must be 'auto', 'pycocotools' or 'faster_coco_eval', not {name!r}")


def _result(result: dict[str, Any], kind: str) -> dict[str, Any]:
    """A fresh record of one kind; pycocotools adds keys to what it is given, and takes boxes for masks."""
    wanted = {"bbox": "bbox", "segm": "segmentation"}[kind]
    return {name: result[name] for name in ("image_id", "category_id", "score", wanted)}


def _mean(precision: NDArray[np.floating]) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else -1.0
