"""Faster R-CNN R-50-FPN 1x on COCO: sampling-free in the RPN alone, biased sampling in the RoI head.

By the papers' recipe, as in `common/papers.py`. The papers (v2 Table III c): 37.5 AP on val (theirs, on another code
base).

python train_net.py --config-file configs/detectron2/papers/ablation/rpn_only.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from ...ablation.rpn_only import dataloader, engine, lr_multiplier, model, optimizer, train
from ...common.papers import papers_recipe

papers_recipe(model, dataloader, lr_multiplier, optimizer, train)
train.output_dir = "output/detectron2/papers/ablation/rpn_only"
