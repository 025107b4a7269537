"""YOLOv3 with objectness on the shapes: the baseline.

python train_net.py --config-file configs/detectron2/yolov3_shapes_baseline.py

A few minutes on 2 cores: one anchor a box learns slowly, so three times the iterations of the others.
"""

from ..common.schedules import steps
from .common.dense import small_yolov3
from .common.shapes import dataloader as data
from .common.shapes import engine, num_classes, optimizer, train

model = small_yolov3(num_classes)
dataloader = data()
lr_multiplier = steps(2400, [1920], warmup=120, start=0.1)
train.update(max_iter=2400, eval_period=800, clip_grad=10)
train.update(output_dir="output/detectron2/yolov3_shapes_baseline", prior=None)
