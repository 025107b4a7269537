"""RetinaNet R-101-FPN 2x with Focal Loss on COCO, by the papers' recipe, as in `common/papers.py`.

The papers: 38.9 AP on test-dev (theirs, on another code base).

python train_net.py --config-file configs/detectron2/papers/retinanet_R_101_FPN_2x_baseline.py --num-gpus 8

180,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from ..common.papers import papers_recipe
from ..retinanet_R_101_FPN_2x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

papers_recipe(model, dataloader, lr_multiplier, optimizer, train)
train.output_dir = "output/detectron2/papers/retinanet_R_101_FPN_2x_baseline"
