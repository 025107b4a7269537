"""PAA on the shapes, sampling-free as in v2.

python train_net.py --config-file configs/detectron2/paa_shapes.py

A few minutes on 2 cores.
"""

from .common.dense import sampling_free
from .paa_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

sampling_free(model, dataloader, optimizer, train)
train.output_dir = "output/detectron2/paa_shapes"
