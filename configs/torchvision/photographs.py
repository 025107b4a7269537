"""Small detectors with a pretrained backbone on photographs: VOC 2012's animals, or another data set in COCO's format.

| variant | own form, `*_own` | sampling-free |
|---|---|---|
| `retinanet` | Focal Loss, divided by the foreground of the batch | cross-entropy, optimal bias, learned scale (v2) |
| `fcos` | torchvision's: Focal Loss | the same |
| `faster_rcnn` | torchvision's: biased sampling in both heads | all examples, guided scales (v1) |
| `atss`, `paa`, `foveabox` | Focal Loss | as RetinaNet |
| `yolov3` | objectness | all anchors, guided scale (v1) |

The other variants are ablations of RetinaNet and Faster R-CNN. Every variant has one backbone (EfficientNet-Lite0 with
ImageNet weights, its normalisation frozen), one image size, one schedule of 12 epochs. `PHOTOGRAPHS_ROOT` names the
folder of the data. The cost of a full run was not measured.
"""

from sampling_free.config import LazyCall as L
from sampling_free.data.paths import root_from
from sampling_free.detectors import Objectness
from sampling_free.detectors import atss as ATSS
from sampling_free.detectors import foveabox as FOVEABOX
from sampling_free.detectors import paa as PAA
from sampling_free.detectors.yolov3 import yolov3 as YOLOV3
from sampling_free.mechanism import ConstantScaling, FrozenScaling, GuidedScaling, LearnedScaling, PerForeground
from sampling_free.torchvision.backbones import EFFICIENTNET_LITE0, TimmPyramid, TimmStages
from sampling_free.torchvision.models import small_dense, small_fasterrcnn, small_fcos, small_retinanet, small_yolov3
from sampling_free.torchvision.train import transforms
from sampling_free.torchvision.train.datasets import CocoDetection

from ..common.schedules import steps
from .common.run import focal_loss, run, sampling_free

_CLASSES = 7  # six and torchvision's background
_SIZE = 192  # longer side
_COLORS = dict(image_mean=[0.5] * 3, image_std=[0.5] * 3)  # as that backbone was trained
_SIZES = dict(size=_SIZE, max_size=_SIZE)


def _config(model):
    """Data, schedule and optimiser of every variant."""

    def split(name, transform):
        return L(CocoDetection)(
            root=root_from("PHOTOGRAPHS_ROOT", "data/voc2012_animals"),
            images="images",
            annotations=f"annotations/instances_{name}.json",
            transforms=transform,
            masks=False,
        )

    dataloader = dict(
        train=dict(dataset=split("train", L(transforms.training)()), total_batch_size=16, num_workers=1),
        test=dict(dataset=split("val", L(transforms.evaluation)()), batch_size=16, num_workers=0, masks=False),
    )
    return run(
        model,
        dataloader,
        steps(1272, [848, 1166], warmup=120, start=0.1),
        lr=0.02,
        max_iter=1272,  # 12 epochs of 1,697 images
        eval_period=0,
        checkpoint_period=0,
        log_period=10,
        clip_grad=5.0,  # heads without normalisation need it, in every form
    )


def _pyramid(strides, extra):
    return L(TimmPyramid)(name="tf_efficientnet_lite0", strides=strides, extra=extra, weights=EFFICIENTNET_LITE0)


def _retinanet():
    return _config(
        L(small_retinanet)(
            pyramid=_pyramid([8, 16, 32], "p6p7"), num_classes=_CLASSES, smallest=16, **_SIZES, **_COLORS
        )
    )


def retinanet():
    """Sampling-free as in v2."""
    return sampling_free(_retinanet())


def retinanet_own():
    """Focal Loss."""
    return focal_loss(retinanet())


def retinanet_cross_entropy():
    """Plain cross-entropy with Focal Loss's initialisation: where the papers start."""
    return _biased_as_focal_loss(retinanet_bias_only())


def retinanet_bias_only():
    """Cross-entropy with the optimal bias, unscaled."""
    return sampling_free(_retinanet(), scaling=L(ConstantScaling)(w=1.0))


def retinanet_guided_only():
    """Guided scaling with Focal Loss's initialisation."""
    return _biased_as_focal_loss(retinanet_v1())


def retinanet_v1():
    """The optimal bias and guided scaling (v1)."""
    return sampling_free(_retinanet(), scaling=L(GuidedScaling)())


def retinanet_released():
    """The authors' released code: a ratio frozen after 100 iterations."""
    return sampling_free(_retinanet(), scaling=L(FrozenScaling)())


def _biased_as_focal_loss(cfg):
    cfg.train.prior = 0.01
    return cfg


def fcos():
    """Sampling-free as in v2."""
    return sampling_free(fcos_own())


def fcos_own():
    """torchvision's own."""
    return _config(L(small_fcos)(pyramid=_pyramid([8, 16, 32], "p6p7"), num_classes=_CLASSES, **_SIZES, **_COLORS))


def faster_rcnn_own():
    """torchvision's own: biased sampling."""
    return _config(
        L(small_fasterrcnn)(
            pyramid=_pyramid([4, 8, 16, 32], "pool"),
            num_classes=_CLASSES,
            smallest=16,
            rpn_post_nms_top_n_train=500,
            box_batch_size_per_image=128,  # of the own form: about a quarter of the proposals
            **_SIZES,
            **_COLORS,
        )
    )


def _sampling_free_faster_rcnn(**choices):
    # on small images most large anchors straddle the edge; to ignore them would be to ignore most large objects
    return sampling_free(faster_rcnn_own(), boundary_threshold=-1, **choices)


def faster_rcnn():
    """Sampling-free in both heads, as in v1."""
    return _sampling_free_faster_rcnn()


def faster_rcnn_rpn_only():
    """Sampling-free RPN, biased RoI head."""
    return _sampling_free_faster_rcnn(heads=["rpn"])


def faster_rcnn_roi_only():
    """Biased RPN, sampling-free RoI head."""
    cfg = _sampling_free_faster_rcnn(heads=["roi"])
    cfg.train.prior = None  # the RPN keeps its own
    return cfg


def faster_rcnn_full_rpn():
    """The RPN's box loss at full weight instead of the released code's 1/8."""
    return _sampling_free_faster_rcnn(
        normalizer=L("builtins.dict")(
            rpn=L(PerForeground)(localization_weight=1.0), roi=L(PerForeground)(localization_weight=0.25)
        )
    )


def faster_rcnn_roi_factor_1():
    """The RoI head's classification guided by factor 1 instead of 2."""
    return _sampling_free_faster_rcnn(
        scaling=L("builtins.dict")(rpn=L(GuidedScaling)(), roi=L(GuidedScaling)(factor=1.0))
    )


def _dense(detector, **choices):
    return _config(
        L(small_dense)(
            detector=detector,
            pyramid=_pyramid([8, 16, 32], "p6p7"),
            num_classes=_CLASSES,
            strides=[8, 16, 32, 64, 128],
            **_SIZES,
            **_COLORS,
            **choices,
        )
    )


def atss():
    """Sampling-free as in v2; anchors of 6 strides, 48 px on the finest level."""
    return _dense(ATSS, anchor_scale=6.0)


def atss_own():
    """Focal Loss."""
    return focal_loss(atss())


def paa():
    """Sampling-free as in v2; anchors of 6 strides."""
    return _dense(PAA, anchor_scale=6.0)


def paa_own():
    """Focal Loss."""
    return focal_loss(paa())


def foveabox():
    """Sampling-free as in v2."""
    return _dense(FOVEABOX, spread=None)


def foveabox_own():
    """Focal Loss with FoveaBox's own settings."""
    return focal_loss(foveabox(), alpha=0.4, gamma=1.5)


def yolov3():
    """Sampling-free at the scale of v1."""
    stages = L(TimmStages)(name="tf_efficientnet_lite0", strides=[8, 16, 32], weights=EFFICIENTNET_LITE0)
    # medians of nine groups of the training boxes at 192 px
    sizes = [[[14, 16], [26, 35], [52, 43]], [[41, 77], [83, 62], [73, 111]], [[119, 90], [120, 144], [172, 128]]]
    return _config(
        L(small_yolov3)(stages=stages, num_classes=_CLASSES, strides=[8, 16, 32], anchors=sizes, **_SIZES, **_COLORS)
    )


def yolov3_learned():
    """Sampling-free at the scale of v2."""
    cfg = yolov3()
    cfg.model.scaling = L(LearnedScaling)()
    return cfg


def yolov3_own():
    """Objectness."""
    cfg = yolov3()
    cfg.model.update(quality=L(Objectness)(), scaling=L(ConstantScaling)())
    cfg.train.prior = None
    return cfg
