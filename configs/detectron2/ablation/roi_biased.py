"""Faster R-CNN R-50-FPN 1x on COCO: the RoI head guided, but with biased sampling kept in both heads.

The papers (v2 Table III c): 36.4 AP, or 36.8 AP, as its columns are uncertain, on val (theirs, on another code base).

python train_net.py --config-file configs/detectron2/ablation/roi_biased.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from ..common.biased_sampling import biased_sampling
from ..common.sampling_free import sampling_free
from ..faster_rcnn_R_50_FPN_1x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

sampling_free(model, dataloader, optimizer, heads=["roi"], **biased_sampling())
train.prior = None  # the RPN keeps its own
train.output_dir = "output/detectron2/ablation/roi_biased"
