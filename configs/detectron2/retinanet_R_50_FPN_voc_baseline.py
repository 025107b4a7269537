"""RetinaNet R-50-FPN with Focal Loss on VOC 07+12 -> 07 test: detectron2's own, the baseline.

The papers: 79.3 mAP on 07 test (theirs, on another code base).

python train_net.py --config-file configs/detectron2/retinanet_R_50_FPN_voc_baseline.py --num-gpus 8

18,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .common.voc import lr_multiplier, on_voc
from .retinanet_R_50_FPN_1x_baseline import dataloader, engine, model, optimizer, train

on_voc(model, dataloader, train)
train.output_dir = "output/detectron2/retinanet_R_50_FPN_voc_baseline"
