"""YOLOv3 on the shapes, sampling-free as in v2.

python train_net.py --config-file configs/detectron2/yolov3_shapes.py

A few minutes on 2 cores: three times the iterations of the others, as the baseline.
"""

from .common.dense import sampling_free
from .yolov3_shapes_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

sampling_free(model, dataloader, optimizer, train)
train.output_dir = "output/detectron2/yolov3_shapes"
