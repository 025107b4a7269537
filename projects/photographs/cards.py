r"""RetinaNet and Faster R-CNN, own form and sampling-free, on 296 photographs of playing cards at 128 px: little data.

PHOTOGRAPHS_ROOT=CARDS sampling-free study projects/photographs/cards.py \
        --output projects/photographs/cards
"""

CONFIG = "configs/torchvision/photographs.py"

study = dict(
    rates=[0.005, 0.01, 0.02, 0.04],
    overrides=["model.size=128", "model.max_size=128", "dataloader.train.total_batch_size=8", "train.max_iter=740"],
    # 740 iterations are 20 epochs
    tune=["train.max_iter=370"],  # half of the schedule
    holdout=0.2,
    seeds=3,
    rows={
        "RetinaNet, Focal Loss": dict(config=f"{CONFIG}:retinanet_own"),
        "RetinaNet, Sampling-Free": dict(config=f"{CONFIG}:retinanet"),
        "Faster R-CNN, biased": dict(config=f"{CONFIG}:faster_rcnn_own"),
        "Faster R-CNN, Sampling-Free": dict(config=f"{CONFIG}:faster_rcnn"),
    },
)
