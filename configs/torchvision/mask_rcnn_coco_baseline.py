"""Mask R-CNN with biased sampling on COCO: torchvision's own, the baseline.

For comparison, the papers: 37.8 box and 34.2 mask AP (theirs, on another code base).

python train_net.py --config-file configs/torchvision/mask_rcnn_coco_baseline.py --num-gpus 8

90,000 iterations at batch 16, hours on 8 GPUs; not run here.
"""

from torchvision.models.detection import maskrcnn_resnet50_fpn

from sampling_free.config import LazyCall as L

from ..common.coco import dataloader, engine, lr_multiplier, num_classes, optimizer, train
from ..common.masks import with_masks

model = L(maskrcnn_resnet50_fpn)(
    weights=None, weights_backbone="DEFAULT", num_classes=num_classes, rpn_post_nms_top_n_train=1000
)
dataloader = with_masks(dataloader)
optimizer.lr = 0.02  # the papers' for two-stage detectors
train.output_dir = "output/mask_rcnn_coco_baseline"
