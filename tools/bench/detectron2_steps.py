"""A whole training step of one image, two on a GPU, ResNet-50-FPN from random weights, beside detectron2's own."""

import copy
from collections.abc import Callable

import torch
from detectron2 import model_zoo
from detectron2.config import instantiate
from detectron2.modeling import GeneralizedRCNN
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from omegaconf import DictConfig
from torch import nn

from sampling_free.detectron2 import make_sampling_free, set_prior
from sampling_free.mechanism import parameter_groups
from tools.bench.measuring import BATCH, DEVICE, Contestant, Goal, Race, gpu_goals
from tools.bench.scene import Scene, propose_anchors, random_scene


def races(*, quick: bool = False) -> list[Race]:
    """RetinaNet, then Faster R-CNN; sampling-free first."""
    height, width = (96, 128) if quick else (800, 1333)
    scene, rounds = random_scene(height, width), 2 if quick else 7
    retinanet = model_zoo.get_config("COCO-Detection/retinanet_R_50_FPN_1x.py").model
    faster_rcnn = model_zoo.get_config("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.py").model
    for part in ("mask_in_features", "mask_pooler", "mask_head"):
        faster_rcnn.roi_heads.pop(part)
    return [
        Race(
            f"Training step at {height}x{width}: RetinaNet R-50-FPN, detectron2",
            [
                Contestant("sampling-free", _step(_sampling_free(retinanet, 1e-5), scene)),
                Contestant("focal loss (detectron2's own)", _step(instantiate(retinanet), scene)),
            ],
            rounds,
        ),
        Race(
            f"Training step at {height}x{width}: Faster R-CNN R-50-FPN, detectron2: all proposals against 512",
            [
                Contestant("sampling-free", _step(_sampling_free(faster_rcnn, None), scene)),
                Contestant("biased sampling (detectron2's own)", _step(instantiate(faster_rcnn), scene)),
            ],
            rounds,
        ),
    ]


def goals(retinanet: Race, faster_rcnn: Race) -> list[Goal]:
    """The project's own; a CPU has none for Faster R-CNN's time, whose ratio the papers took on GPUs."""
    if DEVICE != "cpu":
        return gpu_goals("detectron2", retinanet, faster_rcnn)
    return [
        Goal("detectron2 RetinaNet step, sampling-free to focal: time", retinanet.time_ratio(0, 1), 0.95),
        Goal("detectron2 RetinaNet step, sampling-free to focal: memory", retinanet.memory_ratio(0, 1), 1.0),
        Goal("detectron2 Faster R-CNN step, sampling-free to biased: memory", faster_rcnn.memory_ratio(0, 1), 1.0),
    ]


def _sampling_free(node: DictConfig, prior: float | None) -> nn.Module:
    model = instantiate(make_sampling_free(copy.deepcopy(node)))
    if prior is not None:
        set_prior(model, prior)
    return model


def _step(model: nn.Module, scene: Scene) -> Callable[[], None]:
    if isinstance(model, GeneralizedRCNN):
        propose_anchors(model.proposal_generator.rpn_head.anchor_deltas)
    model.to(DEVICE).train()
    instances = Instances(tuple(scene.image.shape[1:]), gt_boxes=Boxes(scene.boxes), gt_classes=scene.labels)
    batch = [{"image": scene.image * 255, "instances": instances}] * BATCH
    # a rate of 0: the step costs the same, and random weights stay what they are
    optimizer = torch.optim.SGD(parameter_groups(model, 1e-4), lr=0.0, momentum=0.9)

    def step() -> None:
        with EventStorage():
            losses = model(batch)
        optimizer.zero_grad()
        torch.stack([loss.float() for loss in losses.values()]).sum().backward()
        optimizer.step()

    return step
