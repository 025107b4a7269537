"""Small real detectron2 detectors, shrunk from detectron2's own LazyConfigs, and a batch for them."""

import copy
from pathlib import Path

import detectron2
import torch
from detectron2.config import LazyCall as L
from detectron2.config import LazyConfig, instantiate
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone.resnet import BasicBlock, ResNet
from detectron2.structures import BitMasks, Boxes, Instances, Keypoints

NUM_CLASSES = 3
WIDTH = 32  # channels of the feature pyramid and of the heads
TOP = 32  # channels of the last residual stage
CONFIGS = Path(detectron2.__file__).parent / "model_zoo" / "configs" / "common" / "models"


def shrink_resnet(resnet):
    """Give the node of a ResNet four stages of a block each, in place."""
    resnet.stem.update(norm="BN", out_channels=8)
    resnet.stages = [
        L(ResNet.make_stage)(
            block_class=BasicBlock, num_blocks=1, stride_per_block=[s], in_channels=i, out_channels=o, norm="BN"
        )
        for i, o, s in ((8, 8, 1), (8, 16, 2), (16, 24, 2), (24, TOP, 2))
    ]


def _load(name):
    model = LazyConfig.load(str(CONFIGS / f"{name}.py")).model
    model.backbone.out_channels = WIDTH
    shrink_resnet(model.backbone.bottom_up)
    return model


def retinanet():
    model = _load("retinanet")
    model.backbone.top_block.in_channels = TOP
    model.head.update(input_shape=[ShapeSpec(channels=WIDTH)] * 5, conv_dims=[WIDTH])
    model.anchor_generator.sizes = [[x, 1.4 * x, 1.8 * x] for x in (8, 16, 32, 64, 96)]
    model.num_classes = NUM_CLASSES
    return model


def fcos():
    model = _load("fcos")
    model.backbone.top_block.in_channels = WIDTH
    model.head.update(input_shape=[ShapeSpec(channels=WIDTH)] * 5, conv_dims=[WIDTH])
    model.num_classes = NUM_CLASSES
    return model


def _rcnn(name):
    model = _load(name)
    rpn, heads = model.proposal_generator, model.roi_heads
    rpn.head.in_channels = WIDTH
    rpn.anchor_generator.sizes = [[8], [16], [32], [64], [96]]
    rpn.post_nms_topk = (100, 50)
    heads.num_classes = NUM_CLASSES
    boxes, predictors = (
        (heads.box_heads, heads.box_predictors) if "box_heads" in heads else ([heads.box_head], [heads.box_predictor])
    )
    for box_head, predictor in zip(boxes, predictors, strict=True):
        box_head.update(input_shape=ShapeSpec(channels=WIDTH, height=7, width=7), fc_dims=[WIDTH])
        predictor.input_shape = ShapeSpec(channels=WIDTH)
    return model


def mask_rcnn():
    model = _rcnn("mask_rcnn_fpn")
    model.roi_heads.mask_head.update(
        input_shape=ShapeSpec(channels=WIDTH, width=14, height=14), conv_dims=[WIDTH, WIDTH]
    )
    return model


def _without_masks(model):
    for name in ("mask_in_features", "mask_pooler", "mask_head"):
        model.roi_heads.pop(name)
    return model


def faster_rcnn():
    return _without_masks(_rcnn("mask_rcnn_fpn"))


def cascade_rcnn():
    return _without_masks(_rcnn("cascade_rcnn"))


def keypoint_rcnn():
    model = _rcnn("keypoint_rcnn_fpn")
    model.roi_heads.keypoint_head.update(
        input_shape=ShapeSpec(channels=WIDTH, width=14, height=14), conv_dims=[WIDTH], num_keypoints=2
    )
    return model


ONE_STAGE = [retinanet, fcos]
TWO_STAGE = [faster_rcnn, mask_rcnn, cascade_rcnn]


def built(node, seed=0):
    """A model on the CPU; the same weights for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return instantiate(node)


def with_weights_of(host, node):
    """A model of `node` with another's weights."""
    model = built(node, seed=1)
    model.load_state_dict(copy.deepcopy(host.state_dict()))
    return model


def _item(image, boxes, classes):
    height, width = image.shape[1:]
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = True
    centers = torch.stack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, :2] + 3], dim=1)
    instances = Instances(
        (height, width),
        gt_boxes=Boxes(boxes.clone()),
        gt_classes=classes.clone(),
        gt_masks=BitMasks(masks),
        gt_keypoints=Keypoints(torch.cat([centers, torch.full((len(boxes), 2, 1), 2.0)], dim=2)),
    )
    return {"image": image, "instances": instances, "height": height, "width": width}


def batch(empty=()):
    """Two images of different sizes with two boxes and one; those named in `empty` have none."""
    generator = torch.Generator().manual_seed(3)
    images = [255 * torch.rand(3, *size, generator=generator) for size in ((96, 128), (110, 90))]
    boxes = [torch.tensor([[10.0, 20, 60, 90], [70, 8, 96, 40]]), torch.tensor([[5.0, 30, 80, 100]])]
    classes = [torch.tensor([1, 2]), torch.tensor([0])]
    kept = [slice(0, 0) if i in empty else slice(None) for i in range(2)]
    return [_item(images[i], boxes[i][kept[i]], classes[i][kept[i]]) for i in range(2)]


def losses_and_gradients(model, items, seed=5):
    torch.manual_seed(seed)
    losses = model.train()(items)
    model.zero_grad()
    sum(losses.values()).backward()
    return losses, {name: parameter.grad for name, parameter in model.named_parameters()}
