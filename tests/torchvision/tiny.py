"""Small real torchvision detectors and a batch for them."""

import torch
from torch import nn
from torchvision.models.detection import (
    FCOS,
    FasterRCNN,
    MaskRCNN,
    RetinaNet,
    fasterrcnn_mobilenet_v3_large_320_fpn,
)
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

NUM_CLASSES = 4
SIZE = {"min_size": 96, "max_size": 160}


def backbone(extra_blocks=None, returned_layers=None):
    return resnet_fpn_backbone(
        backbone_name="resnet18",
        weights=None,
        norm_layer=nn.BatchNorm2d,
        trainable_layers=5,
        returned_layers=returned_layers,
        extra_blocks=extra_blocks,
    )


def retinanet(num_classes=NUM_CLASSES):
    return RetinaNet(backbone(LastLevelP6P7(256, 256), [2, 3, 4]), num_classes=num_classes, **SIZE)


def fcos():
    return FCOS(backbone(LastLevelP6P7(256, 256), [2, 3, 4]), num_classes=NUM_CLASSES, **SIZE)


def _anchors():
    return AnchorGenerator(sizes=((8,), (16,), (32,), (64,), (96,)), aspect_ratios=((0.5, 1.0, 2.0),) * 5)


def faster_rcnn():
    return FasterRCNN(
        backbone(), num_classes=NUM_CLASSES, rpn_anchor_generator=_anchors(), rpn_post_nms_top_n_train=100, **SIZE
    )


def mask_rcnn():
    return MaskRCNN(
        backbone(), num_classes=NUM_CLASSES, rpn_anchor_generator=_anchors(), rpn_post_nms_top_n_train=60, **SIZE
    )


def mobilenet():
    return fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=NUM_CLASSES, rpn_post_nms_top_n_train=60, **SIZE
    )


ONE_STAGE = [retinanet, fcos]
TWO_STAGE = [faster_rcnn, mask_rcnn, mobilenet]


def seeded(builder, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return builder()


def batch(empty=()):
    """Two images of different sizes with two boxes and one; those named in `empty` have none."""
    generator = torch.Generator().manual_seed(3)
    images = [torch.rand(3, 96, 128, generator=generator), torch.rand(3, 110, 90, generator=generator)]
    boxes = [torch.tensor([[10.0, 20, 60, 90], [70, 8, 96, 40]]), torch.tensor([[5.0, 30, 80, 100]])]
    labels = [torch.tensor([1, 3]), torch.tensor([2])]
    targets = []
    for i in range(2):
        keep = slice(0, 0) if i in empty else slice(None)
        masks = torch.zeros(len(boxes[i]), *images[i].shape[1:], dtype=torch.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes[i].int().tolist(), strict=True):
            mask[y1:y2, x1:x2] = 1
        targets.append(
            {
                "boxes": boxes[i][keep],
                "labels": labels[i][keep],
                "masks": masks[keep],
                "image_id": torch.tensor(40 + i),
            }
        )
    return images, targets


def losses_and_gradients(model, images, targets, seed=5):
    torch.manual_seed(seed)
    losses = model.train()(images, targets)
    model.zero_grad()
    sum(losses.values()).backward()
    return losses, {name: parameter.grad for name, parameter in model.named_parameters()}
