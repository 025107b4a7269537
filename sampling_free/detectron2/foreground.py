"""The prior of a sampling-free detectron2 model, from label assignment alone.

Letters: N images, L levels, R examples of an image, C classes.

No network runs. Images are padded as shapes; anchors and matches are the model's own, so statistics and training cannot
disagree about what foreground is. The sizes of the feature maps follow from the backbone's strides.
"""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from detectron2.structures import ImageList
from detectron2.utils import comm
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from sampling_free.announce import announce
from sampling_free.detectron2.dense import Dense
from sampling_free.detectron2.one_stage import OneStage
from sampling_free.detectron2.rpn import SamplingFreeRPN
from sampling_free.detectron2.structures import exchanged
from sampling_free.errors import UserError
from sampling_free.mechanism import ForegroundStatistics, bias_of_prior

logger = logging.getLogger(__name__)

Model = Any  # an nn.Module whose parts detectron2 names; nn.Module itself promises none of them
Item = dict[str, Any]  # what detectron2's DatasetMapper makes of an image: "image" (3, H, W), "instances"


def fit_prior(
    model: Model, data: Dataset | Iterable, num_images: int | None = None, *, seed: int = 0
) -> ForegroundStatistics:
    """Count foreground in `data`, set the bias and the score threshold of a sampling-free model, keep all as buffers.

    One-stage model: N_f and N of its anchors or points give bias (v1 Eq. 10) and threshold N_f / N; in PAA, where
    foreground depends on predictions, N_f is that of its candidate stage. Two-stage model:
    those of the RPN's anchors, before any choice among them, give the RPN's bias; the RoI head, where foreground
    depends on proposals and is about one in ten, has neither. Under distributed training the first process counts, for
    all.

    Args:
        model: with a `SamplingFreeRetinaNet`, `SamplingFreeFCOS`, `SamplingFreeRPN`, or an `ATSS` and the like; not yet
            wrapped.
        data: a mapped data set, visited in a random order that `seed` fixes, or an iterable of its items or of batches
            of them, as detectron2's training loader gives. An item is a dict with "image" `(3, H, W)` and "instances".
        num_images: how many images to count. Default: all, or at least 50 until the standard error of the prior is
            under 2 %; at most 20,000 of a loader without end.
        seed: of the order and of random augmentation in this process.

    Returns:
        The statistics, which also are part of the model.

    Raises:
        UserError: the model is not sampling-free, the data has no foreground, or a class is out of range.
    """
    head = _required_head(model)
    counted: Any = None
    if comm.is_main_process():
        # an error is told to all processes too, or the others would wait for this one
        try:
            counted = _count(model, data, num_images, seed)
        except UserError as error:
            counted = error
    counted = comm.all_gather(counted)[0]
    if isinstance(counted, UserError):
        raise counted
    head.statistics.load_state_dict(counted)
    set_prior(model, head.statistics.prior, score_threshold=head.statistics.score_threshold)
    return head.statistics


def set_prior(model: Model, prior: float, *, score_threshold: float | None = None) -> None:
    """Set the bias of a sampling-free model for a known prior pi, and its score threshold.

    Args:
        model: with a `SamplingFreeRetinaNet`, `SamplingFreeFCOS`, `SamplingFreeRPN`, or an `ATSS` and the like.
        prior: pi, strictly between 0 and 1 (v1 Eq. 10).
        score_threshold: of a one-stage model; default pi * C, which is N_f / N. Two-stage models keep theirs.

    Raises:
        UserError: the model is not sampling-free, `prior` is no probability, or the head is none of detectron2's.
    """
    head = _required_head(model)
    if isinstance(head, Dense):
        return head.head.set_prior(prior, score_threshold)
    try:
        bias = bias_of_prior(prior)
    except ValueError as error:
        raise UserError(str(error)) from error
    dense = isinstance(head, OneStage)
    predictor, name = (head.head, "cls_score") if dense else (head.rpn_head, "objectness_logits")
    layer = getattr(predictor, name, None)
    if layer is None or layer.bias is None:
        raise UserError(f"{type(predictor).__name__} has no layer {name!r} with a bias that a prior could set")
    nn.init.constant_(layer.bias, bias)
    head.statistics.settle()
    if dense:
        head.fitted_threshold.offer(head, score_threshold or prior * head.statistics.num_classes)


def counted_head(model: Model) -> Any | None:
    """The part of a model whose examples are counted: a one-stage model itself, a two-stage one's RPN; else None."""
    parts = [model, getattr(model, "proposal_generator", None)]
    return next((part for part in parts if isinstance(part, OneStage | Dense | SamplingFreeRPN)), None)


def settle_prior(model: Model) -> None:
    """The prior is the caller's to set or to leave: a model without one trains without a reminder."""
    head = counted_head(model)
    if head is not None:
        head.statistics.settle()


def _required_head(model: Model) -> Any:
    head = counted_head(model)
    if head is None:
        raise UserError(
            f"{type(model).__name__} has no sampling-free head or RPN whose prior could be set; "
            f"apply make_sampling_free to its config first"
        )
    return head


def _count(model: Model, data: Any, num_images: int | None, seed: int) -> dict[str, Tensor]:
    """State of the statistics of `data`; logged in words."""
    statistics = ForegroundStatistics(0, 0, _required_head(model).statistics.num_classes)
    assignment, without_objects = _Assignment(model), 0
    with torch.random.fork_rng(devices=[]), tqdm(desc="counting foreground", unit=" images", total=num_images) as bar:
        torch.manual_seed(seed)
        for batch in _batches(data):
            batch = batch[: statistics.most(num_images)]
            statistics.update(assignment(batch))
            without_objects += sum(len(item["instances"]) == 0 for item in batch)
            bar.update(len(batch))
            if statistics.enough(num_images):
                break
    try:
        announce(logger, f"{statistics.summary} Images without objects: {without_objects}.")
    except ValueError as error:
        raise UserError(str(error)) from error
    return statistics.state_dict()


class _Assignment:
    """Labels of a batch's examples, from the images' sizes and boxes alone."""

    def __init__(self, model: Model) -> None:
        self.head = _required_head(model)
        self.backbone = model.backbone
        self.device = model.device
        names = self.head.in_features if isinstance(self.head, SamplingFreeRPN) else self.head.head_in_features
        shapes = self.backbone.output_shape()
        self.strides = [shapes[name].stride for name in names]

    def __call__(self, batch: list[Item]) -> Tensor:
        """Labels `(N, R)` in the mechanism's alphabet, on the CPU."""
        height, width = self._padded_size(batch)
        # every level halves the one before and rounds up, as padded convolutions and poolings of stride 2 do
        sizes = [(-(-height // stride), -(-width // stride)) for stride in self.strides]
        instances = [item["instances"].to(self.device) for item in batch]
        if isinstance(self.head, Dense):
            return self.head.labels(sizes, instances).cpu()
        maps = [torch.empty(1, device=self.device).expand(1, 1, *size) for size in sizes]
        anchors = self.head.anchor_generator(maps)
        if isinstance(self.head, OneStage):
            labels, _ = self.head.label_anchors(anchors, instances)
            return torch.stack(labels).cpu()
        # all anchors count, whichever will be chosen to train
        labels, _ = self.head.label_and_sample_anchors(anchors, instances)
        return exchanged(torch.stack(labels).cpu().long())

    def _padded_size(self, batch: list[Item]) -> tuple[int, int]:
        shapes = [torch.empty(item["image"].shape, device="meta") for item in batch]
        images = ImageList.from_tensors(
            shapes, self.backbone.size_divisibility, padding_constraints=self.backbone.padding_constraints
        )
        return images.tensor.shape[-2], images.tensor.shape[-1]


def _batches(data: Any) -> Iterator[list[Item]]:
    """Batches of a data set in random order (one image each), of an iterable of items, or of one of batches."""
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        for i in torch.randperm(len(data)).tolist():
            yield [data[i]]
        return
    for batch in data:
        yield [batch] if isinstance(batch, dict) else list(batch)
