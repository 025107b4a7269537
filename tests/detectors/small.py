"""The four detectors in both forms on a small backbone that any host can carry."""

import torch
from torch import nn

from sampling_free.detectors import Objectness, atss, foveabox, group_norm, paa, yolov3
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling

NUM_CLASSES = 3
WIDTH = 16
STRIDES = (8, 16, 32)
YOLO_ANCHORS = (((10, 10), (14, 20)), ((30, 24), (24, 40)), ((60, 60), (90, 50)))

BUILDERS = {
    "atss": lambda **options: atss(NUM_CLASSES, channels=WIDTH, strides=STRIDES, anchor_scale=3.0, **options),
    "paa": lambda **options: paa(NUM_CLASSES, channels=WIDTH, strides=STRIDES, anchor_scale=3.0, **options),
    "foveabox": lambda **options: foveabox(
        NUM_CLASSES, channels=WIDTH, strides=STRIDES, norm=group_norm, spread=None, **options
    ),
    "yolov3": lambda **options: yolov3(
        NUM_CLASSES, in_channels=(WIDTH,) * 3, strides=STRIDES, anchors=YOLO_ANCHORS, **options
    ),
}


def baseline(name):
    """The choices of a detector's own form."""
    if name == "yolov3":
        return {"quality": Objectness(), "scaling": ConstantScaling()}
    loss = FocalLoss(0.4, 1.5) if name == "foveabox" else FocalLoss()
    return {"classification_loss": loss, "scaling": ConstantScaling()}


FORMS = [(name, form) for name in BUILDERS for form in ("sampling-free", "baseline")]


def detector(name, form="sampling-free", seed=0, **options):
    """The same weights for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BUILDERS[name](**({} if form == "sampling-free" else baseline(name)) | options)


class Body(nn.Module):
    """Feature maps of strides 8, 16 and 32."""

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            channels = [3, 12, WIDTH, WIDTH, WIDTH, WIDTH]
            self.stages = nn.ModuleList(
                nn.Sequential(nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
                for i, o in zip(channels, channels[1:], strict=False)
            )

    def forward(self, images):
        maps = []
        for stage in self.stages:
            images = stage(images)
            maps.append(images)
        return {f"p{level}": maps[level - 1] for level in (3, 4, 5)}


def boxes_and_classes(empty=()):
    """Of two images within 96 x 128 px: two boxes and one; those named in `empty` have none."""
    boxes = [torch.tensor([[10.0, 20, 60, 90], [70, 8, 96, 40]]), torch.tensor([[5.0, 30, 80, 95]])]
    classes = [torch.tensor([1, 2]), torch.tensor([0])]
    kept = [slice(0, 0) if i in empty else slice(None) for i in range(2)]
    return [b[k] for b, k in zip(boxes, kept, strict=True)], [c[k] for c, k in zip(classes, kept, strict=True)]


def maps_of(model, images=2, size=(96, 128), seed=3):
    """Raw maps of random features, with gradient."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(size[0] // stride, size[1] // stride) for stride in STRIDES]
    return model([torch.randn(images, WIDTH, *hw, generator=generator) for hw in sizes])
