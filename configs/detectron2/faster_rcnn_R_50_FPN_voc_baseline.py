"""Faster R-CNN R-50-FPN with biased sampling on VOC 07+12 -> 07 test: detectron2's own, the baseline.

The papers: 80.9 mAP on 07 test (theirs, on another code base).

python train_net.py --config-file configs/detectron2/faster_rcnn_R_50_FPN_voc_baseline.py --num-gpus 8

18,000 iterations at batch 16: meant for 8 GPUs; not run here.
"""

from .common.voc import lr_multiplier, on_voc
from .faster_rcnn_R_50_FPN_1x_baseline import dataloader, engine, model, optimizer, train

on_voc(model, dataloader, train)
train.output_dir = "output/detectron2/faster_rcnn_R_50_FPN_voc_baseline"
