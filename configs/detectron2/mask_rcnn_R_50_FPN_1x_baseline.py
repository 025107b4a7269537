"""Mask R-CNN R-50-FPN 1x with biased sampling on COCO: detectron2's own, the baseline.

The papers: 37.8 box AP, 34.2 mask AP on val (theirs, on another code base).

python train_net.py --config-file configs/detectron2/mask_rcnn_R_50_FPN_1x_baseline.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .common.zoo import engine, recipe

dataloader, lr_multiplier, model, optimizer, train = recipe("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.py")
train.output_dir = "output/detectron2/mask_rcnn_R_50_FPN_1x_baseline"
