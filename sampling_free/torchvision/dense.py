"""ATSS, PAA, FoveaBox and YOLOv3 as torchvision has its detectors: same call, same targets, same results.

Letters: N images, M boxes, E detections, C classes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from sampling_free.detectors import DarkNet53, DenseDetector, atss, foveabox, paa, yolov3
from sampling_free.errors import UserError
from sampling_free.torchvision.structures import Target, check_targets

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # RGB in [0, 1]

Size = int | tuple[int, ...]


class DenseModel(nn.Module):
    """A backbone and a `DenseDetector`, with torchvision's transform around them.

    As in torchvision's RetinaNet and FCOS a label is the column of the logits, unchanged.

    Args:
        backbone: from images `(N, 3, H, W)` to a mapping of feature maps, finest first.
        head: what comes behind it.
        min_size: shorter side that images are resized to; of several one is drawn in training.
        max_size: longer side that they do not exceed.
        image_mean: of the channels, RGB in [0, 1].
        image_std: of the channels.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: DenseDetector,
        *,
        min_size: Size = 800,
        max_size: int = 1333,
        image_mean: tuple[float, ...] = IMAGENET_MEAN,
        image_std: tuple[float, ...] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.transform = GeneralizedRCNNTransform(min_size, max_size, list(image_mean), list(image_std))

    def forward(self, images: list[Tensor], targets: list[Target] | None = None) -> Any:
        """Losses by name in training; else a list of dicts with `boxes` `(E, 4)`, `scores` and `labels` `(E,)`.

        Args:
            images: N of them, `(3, H, W)` in [0, 1].
            targets: of training: dicts with `boxes` `(M, 4)` XYXY and `labels` `(M,)` in `[0, C)`.

        Raises:
            UserError: training without targets, a label out of range, or a box without width or height.
        """
        if self.training:
            _check_targets(targets, self.head.num_classes)
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        batch, targets = self.transform(images, targets)
        features: Mapping[str, Tensor] = self.backbone(batch.tensors)
        maps = self.head(list(features.values()))
        if self.training:
            assert targets is not None
            return self.head.losses(maps, [t["boxes"] for t in targets], [t["labels"] for t in targets])
        detections = self.head.detections(maps, batch.image_sizes)
        results = [{"boxes": boxes, "scores": scores, "labels": labels} for boxes, scores, labels in detections]
        return self.transform.postprocess(results, batch.image_sizes, sizes)


def _check_targets(targets: list[Target] | None, num_classes: int) -> None:
    if targets is None:
        raise UserError("a model in training mode needs targets; call model.eval() to detect")
    check_targets(targets, num_classes)
    for place, target in enumerate(targets):
        empty = (target["boxes"][:, 2:] <= target["boxes"][:, :2]).any(dim=1)
        if empty.any():
            box = target["boxes"][torch.where(empty)[0][0]].tolist()
            raise UserError(f"box {box} of image {place} of this batch has no width or no height; mend the annotations")


def atss_resnet50_fpn(num_classes: int = 91, **options: Any) -> DenseModel:
    """ATSS on ResNet-50-FPN.

    Args:
        num_classes: as torchvision counts, background included.
        options: `weights_backbone` ("DEFAULT", another name of torchvision's or None) and `trainable_backbone_layers`;
            those of `DenseModel`; those of `sampling_free.detectors.atss`, among them the choices
            `classification_loss`, `normalizer` and `scaling`. The default is sampling-free.
    """
    return _on_resnet50(atss, num_classes, **options)


def paa_resnet50_fpn(num_classes: int = 91, **options: Any) -> DenseModel:
    """PAA on ResNet-50-FPN; arguments as `atss_resnet50_fpn`, with those of `sampling_free.detectors.paa`."""
    return _on_resnet50(paa, num_classes, **options)


def foveabox_resnet50_fpn(num_classes: int = 91, **options: Any) -> DenseModel:
    """FoveaBox on ResNet-50-FPN; arguments as `atss_resnet50_fpn`, with those of `sampling_free.detectors.foveabox`."""
    return _on_resnet50(foveabox, num_classes, **options)


def yolov3_darknet53(
    num_classes: int = 91,
    *,
    weights_backbone: str | None = "DEFAULT",
    min_size: Size = 608,
    max_size: int = 608,
    **options: Any,
) -> DenseModel:
    """YOLOv3 on DarkNet-53.

    Args:
        num_classes: as torchvision counts, background included.
        weights_backbone: "DEFAULT" for timm's ImageNet weights, None for random ones.
        min_size: shorter side of the images.
        max_size: longer side of the images.
        options: of `sampling_free.detectors.yolov3`; `quality=Objectness()` is YOLOv3's own form.
    """
    return DenseModel(DarkNet53(weights_backbone), yolov3(num_classes, **options), min_size=min_size, max_size=max_size)


def _on_resnet50(
    detector: Callable[..., DenseDetector],
    num_classes: int,
    *,
    weights_backbone: str | None = "DEFAULT",
    trainable_backbone_layers: int = 3,
    min_size: Size = 800,
    max_size: int = 1333,
    **options: Any,
) -> DenseModel:
    """A detector behind levels P3 to P7, P6 and P7 from P5."""
    pretrained = weights_backbone is not None
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50",
        weights=weights_backbone,
        # statistics that nobody has gathered cannot be frozen
        norm_layer=FrozenBatchNorm2d if pretrained else nn.BatchNorm2d,
        trainable_layers=trainable_backbone_layers if pretrained else 5,
        returned_layers=[2, 3, 4],
        extra_blocks=LastLevelP6P7(256, 256),
    )
    return DenseModel(backbone, detector(num_classes, **options), min_size=min_size, max_size=max_size)
