"""YOLOv3 DarkNet-53 on COCO, sampling-free as in v2.

v1, by its own scaling: 33.9 AP (theirs, on another code base).

python train_net.py --config-file configs/detectron2/yolov3_darknet53_500k.py --num-gpus 8

500,200 iterations at batch 64, as darknet: meant for 8 GPUs; not run here.
"""

from .common.dense import sampling_free
from .yolov3_darknet53_500k_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

sampling_free(model, dataloader, optimizer, train)
train.output_dir = "output/detectron2/yolov3_darknet53_500k"
