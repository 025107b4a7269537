"""The torchvision host: torchvision's own detectors, trained on every example.

    model = make_sampling_free(torchvision.models.detection.retinanet_resnet50_fpn(num_classes=21))
    fit_prior(model, dataset)

and the model drops into the training loop it came from.
"""

from sampling_free.mechanism.normalization import PerExample, PerForeground, PerImage
from sampling_free.torchvision.build import build_sampling_free
from sampling_free.torchvision.convert import make_sampling_free, to_host
from sampling_free.torchvision.dense import (
    DenseModel,
    atss_resnet50_fpn,
    foveabox_resnet50_fpn,
    paa_resnet50_fpn,
    yolov3_darknet53,
)
from sampling_free.torchvision.foreground import fit_prior, set_prior
from sampling_free.torchvision.logged import logged_values

__all__ = [
    "DenseModel",
    "PerExample",
    "PerForeground",
    "PerImage",
    "atss_resnet50_fpn",
    "build_sampling_free",
    "fit_prior",
    "foveabox_resnet50_fpn",
    "logged_values",
    "make_sampling_free",
    "paa_resnet50_fpn",
    "set_prior",
    "to_host",
    "yolov3_darknet53",
]
