"""RetinaNet with Focal Loss on the shapes: detectron2's own, the baseline.

python train_net.py --config-file configs/detectron2/retinanet_shapes_baseline.py

A few minutes on 2 cores.
"""

from .common.shapes import dataloader as data
from .common.shapes import engine, lr_multiplier, num_classes, optimizer, train
from .common.small import retinanet

model = retinanet(num_classes)
dataloader = data()
train.output_dir = "output/detectron2/retinanet_shapes_baseline"
