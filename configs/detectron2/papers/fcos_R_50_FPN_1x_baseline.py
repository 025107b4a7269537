"""FCOS R-50-FPN 1x with Focal Loss on COCO, by the papers' recipe, as in `common/papers.py`.

The papers: 37.1 AP on val (theirs, on another code base).

python train_net.py --config-file configs/detectron2/papers/fcos_R_50_FPN_1x_baseline.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from ..common.papers import papers_recipe
from ..fcos_R_50_FPN_1x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

papers_recipe(model, dataloader, lr_multiplier, optimizer, train)
train.output_dir = "output/detectron2/papers/fcos_R_50_FPN_1x_baseline"
