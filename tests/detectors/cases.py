"""Random images' boxes with whole coordinates, so that ties are many and arithmetic is exact."""

import random

import torch

from sampling_free.detectors import AnchorGrid

STRIDES = (8, 16, 32)
YOLO_SIZES = [[(10, 14), (16, 30), (32, 24)], [(30, 60), (62, 46), (59, 119)], [(116, 90), (30, 14), (90, 116)]]


def maps_of(height, width, strides=STRIDES):
    return [(-(-height // stride), -(-width // stride)) for stride in strides]


def squares(scale, strides=STRIDES):
    return AnchorGrid.squares(strides, scale)


def draw(seed):
    """(height, width), boxes `(M, 4)` and classes of one image; small boxes, equal boxes, boxes on the border, none."""
    rng = random.Random(seed)
    height, width = rng.choice([(32, 32), (64, 96), (96, 128), (40, 72)])  # of 32 px the last level has one place
    boxes = []
    for _ in range(rng.choice([0, 1, 2, 3, 6])):
        kind = rng.random()
        if boxes and kind < 0.15:
            boxes.append(list(rng.choice(boxes)))
            continue
        largest = 6 if kind < 0.3 else 200
        w, h = rng.randint(2, min(largest, width)), rng.randint(2, min(largest, height))
        x, y = rng.randint(0, width - w), rng.randint(0, height - h)
        if kind > 0.85:  # on the far border
            x, y = width - w, height - h
        boxes.append([x, y, x + w, y + h])
    classes = [rng.randrange(3) for _ in boxes]
    return (
        (height, width),
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(classes, dtype=torch.int64),
    )


def iou(a, b):
    """Of two boxes, as numbers."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(w, 0) * max(h, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)
