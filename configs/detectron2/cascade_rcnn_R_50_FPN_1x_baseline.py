"""Cascade R-CNN R-50-FPN 1x with biased sampling on COCO: detectron2's own, the baseline.

The papers: 41.8 AP on test-dev (theirs, on detectron2).

python train_net.py --config-file configs/detectron2/cascade_rcnn_R_50_FPN_1x_baseline.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .common.boxes import without_masks
from .common.zoo import host_config
from .mask_rcnn_R_50_FPN_1x_baseline import dataloader, engine, lr_multiplier, optimizer, train

model = host_config("common/models/cascade_rcnn.py", "model")
without_masks(model, dataloader)
model.backbone.bottom_up.freeze_at = 2
model.proposal_generator.post_nms_topk = [2000, 1000]  # as in detectron2's YAML of the same name
train.output_dir = "output/detectron2/cascade_rcnn_R_50_FPN_1x_baseline"
