"""The prior of a sampling-free model, from label assignment alone.

Letters: N images, L levels, R examples of an image, C classes, M boxes.

No network runs. Images are resized and batched as shapes; anchors and matches are the model's own, so statistics and
training cannot disagree about what foreground is. The one thing that only a backbone knows, the sizes of its feature
maps, is asked of a copy on the meta device, where tensors have shapes and no values.
"""

import copy
import logging
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes
from torchvision.transforms.v2.functional import get_size
from tqdm import tqdm

from sampling_free.announce import announce
from sampling_free.errors import UserError
from sampling_free.mechanism import ForegroundStatistics, bias_of_prior
from sampling_free.torchvision.dense import DenseModel
from sampling_free.torchvision.structures import Target, check_boxes, check_labels, labels_of_matches, objectness_labels

logger = logging.getLogger(__name__)

Model = Any  # an nn.Module whose parts torchvision names; nn.Module itself promises none of them


def fit_prior(
    model: Model, data: Dataset | Iterable, num_images: int | None = None, *, seed: int = 0
) -> ForegroundStatistics:
    """Count foreground in `data`, set the bias and the score threshold of a sampling-free model, keep all as buffers.

    One-stage model: N_f and N of its anchors or points give bias (v1 Eq. 10) and threshold N_f / N; in PAA, where
    foreground depends on predictions, N_f is that of its candidate stage. Two-stage model:
    those of the RPN's anchors give the RPN's bias; the RoI head, where foreground depends on proposals and is about
    one in ten, has neither (`make_sampling_free` sets its threshold).

    Args:
        model: what `make_sampling_free` returned, with an RPN or a dense head converted.
        data: a data set of (image, target), visited in a random order that `seed` fixes, or an iterable of such pairs
            or of batches of them, as a training loader gives; images are `(3, H, W)` tensors or PIL images.
        num_images: how many images to count. Default: all, or at least 50 until the standard error of the prior is
            under 2 %; at most 20,000 of a loader without end.
        seed: of the order and of random transforms.

    Returns:
        The statistics, which also are part of the model.

    Raises:
        UserError: the model is not sampling-free, a target or an image cannot be read, or the data has no foreground.
    """
    head = _required_head(model)
    model = unwrapped(model)
    statistics = ForegroundStatistics(0, 0, _num_classes(model, head))
    assignment = _Assignment(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for image, target in tqdm(_pairs(data), desc="counting foreground", unit=" images", total=num_images):
            statistics.update(assignment(image, target))
            if statistics.enough(num_images):
                break
    try:
        prior = statistics.prior
    except ValueError as error:
        raise UserError(str(error)) from error
    head.statistics.load_state_dict(statistics.state_dict())
    head.statistics.num_classes = statistics.num_classes
    set_prior(model, prior, score_threshold=statistics.score_threshold)
    announce(logger, statistics.summary)
    return head.statistics


def set_prior(model: Model, prior: float, *, score_threshold: float | None = None) -> None:
    """Set the bias of a sampling-free model for a known prior pi, and its score threshold.

    Args:
        model: what `make_sampling_free` returned.
        prior: pi, strictly between 0 and 1 (v1 Eq. 10).
        score_threshold: of a one-stage model; default pi * C, which is N_f / N. Two-stage models keep theirs.

    Raises:
        UserError: the model is not sampling-free, or `prior` is no probability.
    """
    model = unwrapped(model)
    head = _required_head(model)
    if isinstance(model, DenseModel):
        return head.set_prior(prior, score_threshold)
    try:
        bias = bias_of_prior(prior)
    except ValueError as error:
        raise UserError(str(error)) from error
    dense = isinstance(model, RetinaNet | FCOS)
    layer = head.classification_head.cls_logits if dense else head.head.cls_logits
    nn.init.constant_(layer.bias, bias)
    head.statistics.settle()
    if dense:
        model.fitted_threshold.offer(model, score_threshold or prior * _num_classes(model, head))


class _Assignment:
    """Labels of an image's examples, from the image's size and boxes alone."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.sizes = _FeatureSizes(model.backbone)
        self.latest: list[tuple[int, int]] = []  # of the feature maps of the last image

    def __call__(self, image: Any, target: Target) -> Tensor:
        """Labels `(R,)` in the mechanism's alphabet, on the CPU."""
        try:
            height, width = get_size(image)
        except TypeError as error:
            raise UserError(
                f"an image of the data is a {type(image).__module__}.{type(image).__name__}; fit_prior takes "
                f"(3, H, W) tensors and PIL images"
            ) from error
        check_boxes(target)
        target = dict(target) | {name: torch.as_tensor(target[name]).cpu() for name in ("boxes", "labels")}
        transform = self.model.transform
        size = resized(transform, height, width)
        target["boxes"] = resize_boxes(target["boxes"], (height, width), size)
        batch = transform.batch_images([torch.empty(3, *size, device="meta")], transform.size_divisible)
        images = ImageList(batch, [size])
        sizes = self.latest = self.sizes(tuple(images.tensors.shape[-2:]))
        if isinstance(self.model, DenseModel):
            return self._labels_of_our_own(sizes, target)
        maps = [torch.empty(1).expand(1, 1, *size) for size in sizes]
        if isinstance(self.model, RetinaNet | FCOS):
            return self._dense_labels(images, maps, target)
        rpn = self.model.rpn
        labels, _ = rpn.label_anchors(rpn.anchor_generator(images, maps), [target], images.image_sizes)
        return objectness_labels(labels[0])

    def _labels_of_our_own(self, sizes: list[tuple[int, int]], target: Target) -> Tensor:
        head = self.model.head
        check_labels(target, head.num_classes)
        return head.labels_without_predictions(sizes, target["boxes"], target["labels"])

    def _dense_labels(self, images: ImageList, maps: list[Tensor], target: Target) -> Tensor:
        anchors = self.model.anchor_generator(images, maps)
        levels = [[m.shape[-2] * m.shape[-1] for m in maps]] if isinstance(self.model, FCOS) else []
        # torchvision matches inside compute_loss, and hands the matches to its head
        matches = type(self.model).compute_loss(_MatchesAlone(self.model), [target], {}, anchors, *levels)
        return labels_of_matches([target], matches, self.model.head.num_classes)[0]


class _MatchesAlone:
    """Stands in for a RetinaNet or FCOS whose loss is asked for, and for its head, which is to see the matches."""

    def __init__(self, model: RetinaNet | FCOS) -> None:
        self.model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    @property
    def head(self) -> "_MatchesAlone":
        return self

    def compute_loss(self, targets: Any, head_outputs: Any, anchors: Any, matched_idxs: list[Tensor]) -> list[Tensor]:
        return matched_idxs


def resized(transform: GeneralizedRCNNTransform, height: int, width: int) -> tuple[int, int]:
    """Height and width to which torchvision's transform resizes an image, without an image."""
    if transform.training and transform._skip_resize:
        return height, width
    shorter = transform.torch_choice(transform.min_size) if transform.training else transform.min_size[-1]
    if transform.fixed_size is not None:
        return transform.fixed_size[1], transform.fixed_size[0]
    scale = min(shorter / min(height, width), transform.max_size / max(height, width))
    return math.floor(height * scale), math.floor(width * scale)


class _FeatureSizes:
    """Spatial sizes of a backbone's feature maps for an image size, remembered per size."""

    def __init__(self, backbone: nn.Module) -> None:
        self.backbone = copy.deepcopy(backbone).to("meta").eval()
        self.known: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def __call__(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        if image_size not in self.known:
            with torch.no_grad():
                features = self.backbone(torch.empty(1, 3, *image_size, device="meta"))
            maps = [features] if isinstance(features, Tensor) else features.values()
            self.known[image_size] = [(m.shape[-2], m.shape[-1]) for m in maps]
        return self.known[image_size]


def counted_head(model: Model) -> Any | None:
    """The part of a model whose examples are counted, if converted: a one-stage model's head, a two-stage one's RPN."""
    model = unwrapped(model)
    head = getattr(model, "head", None) or getattr(model, "rpn", None)
    return head if hasattr(head, "statistics") else None


def unwrapped(model: Model) -> Model:
    """The model inside `torch.compile`, DistributedDataParallel and the like."""
    while (inner := getattr(model, "_orig_mod", None) or getattr(model, "module", None)) is not None:
        model = inner
    return model


def _num_classes(model: Model, head: Any) -> int:
    """C of the classifier as it is now: a fine-tuning recipe may have replaced it since the model was converted."""
    return 1 if hasattr(model, "rpn") else head.num_classes


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
            f"call make_sampling_free(model) first"
        )
    return head


def _pairs(data: Any) -> Iterator[tuple[Any, Target]]:
    """(image, target) pairs of a data set in random order, of an iterable of pairs, or of one of batches."""
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        items = (data[i] for i in torch.randperm(len(data)).tolist())
    else:
        items = data
    for images, targets in items:
        if isinstance(targets, dict):
            yield images, targets
        else:
            yield from zip(images, targets, strict=True)
