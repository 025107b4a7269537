"""Faster R-CNN R-50-FPN 1x on COCO: the RPN guided and bias-initialised, but with biased sampling kept in both heads.

By the papers' recipe, as in `common/papers.py`. The papers (v2 Table III c): 36.5 AP on val (theirs, on another code
base).

python train_net.py --config-file configs/detectron2/papers/ablation/rpn_biased.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from ...ablation.rpn_biased import dataloader, engine, lr_multiplier, model, optimizer, train
from ...common.papers import papers_recipe

papers_recipe(model, dataloader, lr_multiplier, optimizer, train)
train.output_dir = "output/detectron2/papers/ablation/rpn_biased"
