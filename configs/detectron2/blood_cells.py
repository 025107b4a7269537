"""Blood cells (BCCD: 205 images to train, 72 to evaluate) with detectron2: the example of a user's own data.

| variant | training |
|---|---|
| `retinanet_baseline`, `retinanet` | Focal Loss; sampling-free |
| `faster_rcnn_baseline`, `faster_rcnn` | biased sampling; sampling-free |
| `..._voc` | the same from files in VOC's layout |

`BCCD_ROOT` names the folder of the data; images are reduced to 160 px. Minutes on 2 cores; results in projects/bccd.
"""

import detectron2.data.transforms as T

from sampling_free.config import LazyCall as L
from sampling_free.data.paths import root_from
from sampling_free.detectron2 import models
from sampling_free.detectron2.train.splits import coco_split, voc_split
from sampling_free.mechanism import PerForeground

from ..common.schedules import steps
from .common.run import sampling_free
from .common.shapes import small_run

_ROOT = root_from("BCCD_ROOT", "data/bccd")
_MODEL = dict(num_classes=3, smallest=16)  # red and white blood cells, platelets; px of the smallest anchors


def retinanet_baseline():
    """Focal Loss: detectron2's own."""
    return _on_blood_cells(models.retinanet(**_MODEL))


def retinanet():
    """Sampling-free, as in v2."""
    return sampling_free(retinanet_baseline())


def faster_rcnn_baseline():
    """Biased sampling: detectron2's own."""
    cfg = _on_blood_cells(models.faster_rcnn(**_MODEL))
    cfg.train.clip_grad = 2.0  # from random weights on, a rare large gradient would set a sampling-free RPN back
    return cfg


def faster_rcnn():
    """Sampling-free in RPN and RoI head, as in v1."""
    # the RPN's box loss guides its classification; at the released code's 1/8 that takes longer than 400 iterations
    normalizer = dict(rpn=L(PerForeground)(), roi=L(PerForeground)(localization_weight=1 / 4))
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


def _on_blood_cells(model):
    cfg = small_run(model, _coco("train"), _coco("test"))
    data = cfg.dataloader
    shorter = L(T.ResizeShortestEdge)(short_edge_length=160, max_size=320)  # the images are 640 x 480
    data.train.mapper.augmentations = [shorter, L(T.RandomFlip)(horizontal=True)]
    data.test.mapper.augmentations = [shorter]
    data.train.total_batch_size = 4
    cfg.lr_multiplier = steps(400, [320], warmup=80, start=0.05)  # 8 passes over 205 images at batch 4
    cfg.train.update(max_iter=400, eval_period=200, checkpointer=dict(period=100), log_period=5)
    return cfg


def _coco(split):
    annotations = f"annotations/instances_{split}.json"
    return L(coco_split)(
        name=f"bccd_{split}", root=_ROOT, images="JPEGImages", annotations=annotations, filter_empty=False
    )


def _voc(split):
    classes = ["RBC", "WBC", "Platelets"]
    return L(voc_split)(
        name=f"bccd_voc_{split}", root=_ROOT, splits=[[".", split]], classes=classes, filter_empty=False
    )


def _from_voc(cfg):
    cfg.dataloader.train.dataset, cfg.dataloader.test.dataset = _voc("train"), _voc("test")
    return cfg
