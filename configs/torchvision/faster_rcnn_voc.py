"""Faster R-CNN on VOC 07+12, sampling-free in RPN and RoI head, as in v1.

For comparison, v2 Table VI: 81.5 mAP at IoU 0.5 (theirs); this engine prints COCO's AP50, a near relative.

python train_net.py --config-file configs/torchvision/faster_rcnn_voc.py --num-gpus 8

18,000 iterations at batch 16, hours on 2 GPUs; not run here.
"""

from ..common.sampling_free import sampling_free
from .faster_rcnn_voc_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model)
train.output_dir = "output/faster_rcnn_voc"
