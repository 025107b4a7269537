"""YOLOv3 with objectness on the shapes: the baseline.

python train_net.py --config-file configs/detectron2/yolov3_shapes_baseline.py

A few minutes on 2 cores.
"""

from .common.dense import small_yolov3
from .common.shapes import dataloader as data
from .common.shapes import engine, lr_multiplier, num_classes, optimizer, train

model = small_yolov3(num_classes)
dataloader = data()
train.update(output_dir="output/detectron2/yolov3_shapes_baseline", prior=None)
