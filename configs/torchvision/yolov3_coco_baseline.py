"""YOLOv3 with objectness on COCO: the baseline.

For comparison, v1: 33.0 AP (theirs, on another code base).

python train_net.py --config-file configs/torchvision/yolov3_coco_baseline.py --num-gpus 8

500,200 iterations at batch 64, days on 8 GPUs; not run here.
"""

from sampling_free.config import LazyCall as L
from sampling_free.detectors import Objectness
from sampling_free.mechanism import ConstantScaling

from .yolov3_coco import dataloader, engine, lr_multiplier, model, optimizer, train

model.update(quality=L(Objectness)(), scaling=L(ConstantScaling)())
train.update(output_dir="output/yolov3_coco_baseline", prior=None)
