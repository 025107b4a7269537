"""A whole training step of one image, two on a GPU, ResNet-50-FPN from random weights, beside torchvision's own."""

from collections.abc import Callable

import torch
from torch import nn
from torchvision.models.detection import FasterRCNN, fasterrcnn_resnet50_fpn, retinanet_resnet50_fpn

from sampling_free.mechanism import parameter_groups
from sampling_free.torchvision import make_sampling_free, set_prior
from tools.bench.measuring import BATCH, DEVICE, Contestant, Goal, Race, gpu_goals
from tools.bench.scene import Scene, propose_anchors, random_scene


def races(*, quick: bool = False) -> list[Race]:
    """RetinaNet, then Faster R-CNN; sampling-free first."""
    height, width = (96, 128) if quick else (800, 1333)
    scene, rounds = random_scene(height, width), 2 if quick else 7
    common = {"weights": None, "weights_backbone": None, "num_classes": 91, "min_size": height, "max_size": width}
    papers = common | {"rpn_post_nms_top_n_train": 1000}
    retinanet = make_sampling_free(retinanet_resnet50_fpn(**common))
    set_prior(retinanet, 1e-5)
    faster_rcnn = make_sampling_free(fasterrcnn_resnet50_fpn(**papers))
    return [
        Race(
            f"Training step at {height}x{width}: RetinaNet R-50-FPN, torchvision",
            [
                Contestant("sampling-free", _step(retinanet, scene)),
                Contestant("focal loss (torchvision's own)", _step(retinanet_resnet50_fpn(**common), scene)),
            ],
            rounds,
        ),
        Race(
            f"Training step at {height}x{width}: Faster R-CNN R-50-FPN, torchvision: all proposals against 512",
            [
                Contestant("sampling-free", _step(faster_rcnn, scene)),
                Contestant("biased sampling (torchvision's own)", _step(fasterrcnn_resnet50_fpn(**papers), scene)),
            ],
            rounds,
        ),
    ]


def goals(retinanet: Race, faster_rcnn: Race) -> list[Goal]:
    """The papers' ratios, which were taken on GPUs; a CPU has a goal for RetinaNet alone."""
    if DEVICE == "cpu":
        return [Goal("torchvision RetinaNet step, sampling-free to focal: time", retinanet.time_ratio(0, 1), 0.97)]
    return gpu_goals("torchvision", retinanet, faster_rcnn)


def _step(model: nn.Module, scene: Scene) -> Callable[[], None]:
    if isinstance(model, FasterRCNN):
        propose_anchors(model.rpn.head.bbox_pred)
    model.to(DEVICE).train()
    target = {"boxes": scene.boxes, "labels": scene.labels + 1}
    # a rate of 0: the step costs the same, and random weights stay what they are
    optimizer = torch.optim.SGD(parameter_groups(model, 1e-4), lr=0.0, momentum=0.9)

    def step() -> None:
        losses = model([scene.image] * BATCH, [target] * BATCH)
        optimizer.zero_grad()
        torch.stack([loss.float() for loss in losses.values()]).sum().backward()
        optimizer.step()

    return step
