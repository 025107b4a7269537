"""Detectors that no host ships: ATSS, PAA, FoveaBox and YOLOv3, on plain tensors.

Each is a `DenseDetector` put together from objects: a head, anchors, an assigner, a coding, a box loss, a quality and a
suppression (`dense.py` has the skeleton). A host puts its backbone in front, in its `dense.py`.
"""

from sampling_free.detectors.anchors import AnchorGrid, Anchors
from sampling_free.detectors.assigners import BalancedCost, SummedCost
from sampling_free.detectors.atss import atss
from sampling_free.detectors.darknet import DarkNet53
from sampling_free.detectors.dense import DenseDetector
from sampling_free.detectors.foveabox import foveabox
from sampling_free.detectors.heads import DeformableConv, TowerHead, group_norm
from sampling_free.detectors.paa import paa
from sampling_free.detectors.quality import Centerness, NoQuality, Objectness, PredictedIoU
from sampling_free.detectors.suppression import ScoreVoting, Suppression
from sampling_free.detectors.yolov3 import YoloHead, yolov3

__all__ = [
    "AnchorGrid",
    "Anchors",
    "BalancedCost",
    "Centerness",
    "DarkNet53",
    "DeformableConv",
    "DenseDetector",
    "NoQuality",
    "Objectness",
    "PredictedIoU",
    "ScoreVoting",
    "SummedCost",
    "Suppression",
    "TowerHead",
    "YoloHead",
    "atss",
    "foveabox",
    "group_norm",
    "paa",
    "yolov3",
]
