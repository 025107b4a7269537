"""FoveaBox R-50-FPN 1x with Focal Loss on COCO: the baseline.

v1: 36.7 AP on test-dev (theirs, on another code base).

python train_net.py --config-file configs/detectron2/foveabox_R_50_FPN_1x_baseline.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .common.dense import dense
from .common.zoo import engine, recipe

dataloader, lr_multiplier, _, optimizer, train = recipe("COCO-Detection/fcos_R_50_FPN_1x.py")
model = dense("foveabox")
model.backbone.bottom_up.freeze_at = 2
train.update(output_dir="output/detectron2/foveabox_R_50_FPN_1x_baseline", prior=None)
train.clip_grad = 35  # the authors' own
