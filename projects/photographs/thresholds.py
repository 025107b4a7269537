"""The papers' sweep of the score threshold (v1, Table 2): AP, detections and speed of one trained model.

    python projects/photographs/thresholds.py output/torchvision/photographs/retinanet

The run is one of the torchvision engine. Its last checkpoint is evaluated on its own evaluation data, one image at a
time, at each threshold and at the model's own, which is N_f / N where training counted it.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sampling_free import config
from sampling_free.errors import UserError
from sampling_free.torchvision.train import engine
from sampling_free.torchvision.train.evaluation import CocoEvaluator

THRESHOLDS = (0.05, 0.01, 0.001, 0.0)  # the first is the usual one of Focal Loss


def sweep(run: Path, thresholds: Sequence[float]) -> str:
    """A table in Markdown, one row a threshold.

    Raises:
        UserError: the folder holds no finished run, or one of a model without a fitted threshold.
    """
    weights = run / "checkpoints" / "last.ckpt"
    if not weights.is_file():
        raise UserError(f"{run} holds no run of the torchvision engine: there is no {weights}")
    cfg = config.load(run / "config.yaml")
    model = engine.load_model(cfg, weights)
    owner = next((part for part in model.modules() if hasattr(part, "fitted_threshold")), None)
    if owner is None:
        raise UserError(f"the model of {run} has no fitted threshold; take a run of a one-stage model")
    counted = float(owner.fitted_threshold.value)  # type: ignore[union-attr, arg-type]
    data = config.instantiate(cfg.dataloader.test.dataset, "dataloader.test.dataset")
    lines = ["| threshold | AP | AP50 | detections an image | images a second |", "|---:|---:|---:|---:|---:|"]
    for threshold in sorted({*thresholds, counted} if counted else thresholds, reverse=True):
        setattr(owner, owner.fitted_threshold.attribute, threshold)  # type: ignore[union-attr, arg-type]
        metrics, seconds, found = _evaluated(model, data)
        name = f"the model's own, {threshold:.2g}" if threshold == counted else f"{threshold:g}"
        figures = f"{metrics['bbox/AP']:.1f} | {metrics['bbox/AP50']:.1f} | {found / len(data):.1f}"
        lines.append(f"| {name} | {figures} | {len(data) / seconds:.1f} |")
    return "\n".join(lines) + "\n"


@torch.no_grad()
def _evaluated(model: nn.Module, data: Any) -> tuple[dict[str, float], float, int]:
    """Metrics, seconds that the model itself took, and detections."""
    evaluator, seconds, found = CocoEvaluator(data), 0.0, 0
    device = next(model.parameters()).device
    for image, target in (data[index] for index in range(len(data))):
        start = time.perf_counter()
        (detections,) = model([image.to(device)])
        found += len(detections["scores"].cpu())  # which also waits for a GPU
        seconds += time.perf_counter() - start
        evaluator.update([target["image_id"]], [detections])
    return evaluator.compute(), seconds, found


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="output folder of a run")
    parser.add_argument("--thresholds", type=float, nargs="+", default=THRESHOLDS)
    options = parser.parse_args()
    try:
        sys.stdout.write(sweep(options.run, options.thresholds))
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
