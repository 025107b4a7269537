"""RetinaNet on blood cells, sampling-free, from the COCO files."""

from ....configs.common.sampling_free import sampling_free
from .retinanet_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model)
train.output_dir = "output/bccd/retinanet"
