"""Blood cells (BCCD: 205 images to train, 72 to evaluate) with torchvision: the example of a user's own data.

| variant | training |
|---|---|
| `retinanet_baseline`, `retinanet` | Focal Loss; sampling-free |
| `faster_rcnn_baseline`, `faster_rcnn` | biased sampling; sampling-free |
| `..._voc` | the same from files in VOC's layout |

`BCCD_ROOT` names the folder of the data; images are reduced to 160 px. Minutes on 2 cores; results in projects/bccd.
"""

from sampling_free.config import LazyCall as L
from sampling_free.data.paths import root_from
from sampling_free.mechanism import PerForeground
from sampling_free.torchvision.models import fasterrcnn_resnet10_fpn, retinanet_resnet10_fpn
from sampling_free.torchvision.train import transforms
from sampling_free.torchvision.train.datasets import CocoDetection, VocDetection

from ..common.schedules import steps
from .common.run import run, sampling_free

_ROOT = root_from("BCCD_ROOT", "data/bccd")
# three kinds of cells and torchvision's background; the images are 640 x 480
_MODEL = dict(num_classes=4, size=160, smallest=16, weights_backbone=None)


def retinanet_baseline():
    """Focal Loss: torchvision's own."""
    return _on_blood_cells(L(retinanet_resnet10_fpn)(**_MODEL), lr=0.05)


def retinanet():
    """Sampling-free, as in v2."""
    return sampling_free(retinanet_baseline())


def faster_rcnn_baseline():
    """Biased sampling: torchvision's own."""
    return _on_blood_cells(L(fasterrcnn_resnet10_fpn)(**_MODEL), lr=0.02)


def faster_rcnn():
    """Sampling-free in RPN and RoI head, as in v1."""
    # the RPN's box loss guides its classification; at the released code's 1/8 that takes longer than 400 iterations
    normalizer = L("builtins.dict")(
        rpn=L(PerForeground)(localization_weight=1.0), roi=L(PerForeground)(localization_weight=1 / 4)
    )
    return sampling_free(faster_rcnn_baseline(), boundary_threshold=-1, normalizer=normalizer)


def retinanet_baseline_voc():
    """Focal Loss, from VOC's layout."""
    return _from_voc(retinanet_baseline())


def retinanet_voc():
    """Sampling-free, from VOC's layout."""
    return _from_voc(retinanet())


def faster_rcnn_baseline_voc():
    """Biased sampling, from VOC's layout."""
    return _from_voc(faster_rcnn_baseline())


def faster_rcnn_voc():
    """Sampling-free, from VOC's layout."""
    return _from_voc(faster_rcnn())


def _on_blood_cells(model, lr):
    dataloader = dict(
        train=dict(dataset=_coco("train", transforms.training), total_batch_size=4, num_workers=1),
        test=dict(dataset=_coco("test", transforms.evaluation), batch_size=8, num_workers=0, masks=False),
    )
    schedule = steps(400, [320], warmup=40, start=0.1)  # 8 passes over 205 images at batch 4
    periods = dict(max_iter=400, eval_period=200, checkpoint_period=100, log_period=5)
    return run(model, dataloader, schedule, lr=lr, clip_grad=2.0, **periods)


def _coco(split, transform):
    annotations = f"annotations/instances_{split}.json"
    return L(CocoDetection)(root=_ROOT, images="JPEGImages", annotations=annotations, transforms=L(transform)())


def _voc(split, transform):
    classes = ["RBC", "WBC", "Platelets"]
    return L(VocDetection)(root=_ROOT, splits=[[".", split]], classes=classes, transforms=L(transform)())


def _from_voc(cfg):
    cfg.dataloader.train.dataset = _voc("train", transforms.training)
    cfg.dataloader.test.dataset = _voc("test", transforms.evaluation)
    return cfg
