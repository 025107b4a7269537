"""RetinaNet R-101-FPN 2x with Focal Loss on COCO: detectron2's own, the baseline.

The papers: 38.9 AP on test-dev (theirs, on another code base).

python train_net.py --config-file configs/detectron2/retinanet_R_101_FPN_2x_baseline.py --num-gpus 8

180,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .common.schedules import twice_as_long
from .retinanet_R_101_FPN_1x_baseline import dataloader, engine, model, optimizer, train

lr_multiplier = twice_as_long(train)
train.output_dir = "output/detectron2/retinanet_R_101_FPN_2x_baseline"
