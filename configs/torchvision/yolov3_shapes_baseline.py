"""YOLOv3 with objectness on the shapes: the baseline.

python train_net.py --config-file configs/torchvision/yolov3_shapes_baseline.py

A few minutes on 2 cores.
"""

from sampling_free.config import LazyCall as L
from sampling_free.detectors import Objectness
from sampling_free.mechanism import ConstantScaling

from .yolov3_shapes import dataloader, engine, lr_multiplier, model, optimizer, train

model.update(quality=L(Objectness)(), scaling=L(ConstantScaling)())
train.update(output_dir="output/yolov3_shapes_baseline", prior=None)
