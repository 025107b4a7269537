"""RetinaNet on the shapes, sampling-free as in v2.

python train_net.py --config-file configs/detectron2/retinanet_shapes.py

A few minutes on 2 cores.
"""

from .common.sampling_free import sampling_free
from .retinanet_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

sampling_free(model, dataloader, optimizer)
train.output_dir = "output/detectron2/retinanet_shapes"
