"""FCOS with Focal Loss on COCO: torchvision's own, the baseline.

For comparison, v2 Table III(b): 37.1 AP (theirs, on another code base).

python train_net.py --config-file configs/torchvision/fcos_coco_baseline.py --num-gpus 8

90,000 iterations at batch 16, hours on 8 GPUs; not run here.
"""

from torchvision.models.detection import fcos_resnet50_fpn

from sampling_free.config import LazyCall as L

from ..common.coco import dataloader, engine, lr_multiplier, num_classes, optimizer, train

model = L(fcos_resnet50_fpn)(weights=None, weights_backbone="DEFAULT", num_classes=num_classes)
train.output_dir = "output/fcos_coco_baseline"
