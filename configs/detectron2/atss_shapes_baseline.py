"""ATSS with Focal Loss on the shapes: the baseline.

python train_net.py --config-file configs/detectron2/atss_shapes_baseline.py

A few minutes on 2 cores.
"""

from .common.dense import small_dense
from .common.shapes import dataloader as data
from .common.shapes import engine, lr_multiplier, num_classes, optimizer, train

model = small_dense("atss", num_classes)
dataloader = data()
train.update(output_dir="output/detectron2/atss_shapes_baseline", prior=None)
