"""RetinaNet R-101-FPN 1x sampling-free on COCO, by the papers' recipe, as in `common/papers.py`.

The papers: 39.4 AP (39.1 in v1) on test-dev (theirs, on another code base).

python train_net.py --config-file configs/detectron2/papers/retinanet_R_101_FPN_1x.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from ..common.papers import papers_recipe
from ..retinanet_R_101_FPN_1x import dataloader, engine, lr_multiplier, model, optimizer, train

papers_recipe(model, dataloader, lr_multiplier, optimizer, train)
train.output_dir = "output/detectron2/papers/retinanet_R_101_FPN_1x"
