"""RetinaNet on COCO, sampling-free as in v2.

For comparison, the papers: 36.8 (v1) and 37.0 AP (v2), theirs, on another code base.

python train_net.py --config-file configs/torchvision/retinanet_coco.py --num-gpus 8

90,000 iterations at batch 16, hours on 8 GPUs; not run here.
"""

from ..common.sampling_free import sampling_free
from .retinanet_coco_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model)
train.output_dir = "output/retinanet_coco"
