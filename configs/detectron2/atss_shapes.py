"""ATSS on the shapes, sampling-free as in v2.

python train_net.py --config-file configs/detectron2/atss_shapes.py

A few minutes on 2 cores.
"""

from .atss_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train
from .common.dense import sampling_free

sampling_free(model, dataloader, optimizer, train)
train.output_dir = "output/detectron2/atss_shapes"
