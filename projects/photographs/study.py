"""Every detector in its own form and sampling-free on VOC 2012's animals, each at its own best rate.

sampling-free study projects/photographs/study.py --output projects/photographs/results
"""

CONFIG = "configs/torchvision/photographs.py"

study = dict(
    rates=[0.005, 0.01, 0.02, 0.04, 0.08],
    tune=["train.max_iter=424"],  # a third of the schedule
    holdout=0.2,
    seeds=3,
    rows={
        "RetinaNet, Focal Loss": dict(config=f"{CONFIG}:retinanet_own", seeds=5, group=0),
        "RetinaNet, Sampling-Free": dict(config=f"{CONFIG}:retinanet", seeds=5, group=0),
        "Faster R-CNN, biased": dict(config=f"{CONFIG}:faster_rcnn_own", group=1),
        "Faster R-CNN, Sampling-Free": dict(config=f"{CONFIG}:faster_rcnn", group=1),
        "ATSS, Focal Loss": dict(config=f"{CONFIG}:atss_own", group=2),
        "ATSS, Sampling-Free": dict(config=f"{CONFIG}:atss", group=2),
        "FCOS, Focal Loss": dict(config=f"{CONFIG}:fcos_own", group=2),
        "FCOS, Sampling-Free": dict(config=f"{CONFIG}:fcos", group=2),
        "PAA, Focal Loss": dict(config=f"{CONFIG}:paa_own", group=2),
        "PAA, Sampling-Free": dict(config=f"{CONFIG}:paa", group=2),
        "FoveaBox, Focal Loss": dict(config=f"{CONFIG}:foveabox_own", group=2),
        "FoveaBox, Sampling-Free": dict(config=f"{CONFIG}:foveabox", group=2),
        "YOLOv3, objectness": dict(config=f"{CONFIG}:yolov3_own", group=2),
        "YOLOv3, Sampling-Free": dict(config=f"{CONFIG}:yolov3", group=2),
        "RetinaNet, cross-entropy": dict(config=f"{CONFIG}:retinanet_cross_entropy", group=3),
        "RetinaNet, Sampling-Free v1": dict(config=f"{CONFIG}:retinanet_v1", group=3),
        "RetinaNet, bias only": dict(config=f"{CONFIG}:retinanet_bias_only", group=3),
        "RetinaNet, guided only": dict(config=f"{CONFIG}:retinanet_guided_only", group=3),
        "RetinaNet, released code": dict(config=f"{CONFIG}:retinanet_released", group=3),
        "Faster R-CNN, RPN only": dict(config=f"{CONFIG}:faster_rcnn_rpn_only", group=3),
        "Faster R-CNN, RoI only": dict(config=f"{CONFIG}:faster_rcnn_roi_only", group=3),
        "Faster R-CNN, RPN at full weight": dict(config=f"{CONFIG}:faster_rcnn_full_rpn", group=3),
        "Faster R-CNN, RoI factor 1": dict(config=f"{CONFIG}:faster_rcnn_roi_factor_1", group=3),
    },
)
