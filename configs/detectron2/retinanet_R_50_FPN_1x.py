"""RetinaNet R-50-FPN 1x on COCO, sampling-free as in v2.

The papers: 37.0 AP (36.8 in v1) on val (theirs, on another code base).

python train_net.py --config-file configs/detectron2/retinanet_R_50_FPN_1x.py --num-gpus 8

90,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .common.sampling_free import sampling_free
from .retinanet_R_50_FPN_1x_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

sampling_free(model, dataloader, optimizer)
train.output_dir = "output/detectron2/retinanet_R_50_FPN_1x"
