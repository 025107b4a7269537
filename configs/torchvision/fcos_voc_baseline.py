"""FCOS with Focal Loss on VOC 07+12: torchvision's own, the baseline.

python train_net.py --config-file configs/torchvision/fcos_voc_baseline.py --num-gpus 8

18,000 iterations at batch 16, hours on 2 GPUs; not run here.
"""

from torchvision.models.detection import fcos_resnet50_fpn

from sampling_free.config import LazyCall as L

from ..common.voc import dataloader, engine, lr_multiplier, num_classes, optimizer, train

model = L(fcos_resnet50_fpn)(weights=None, weights_backbone="DEFAULT", num_classes=num_classes)
train.output_dir = "output/fcos_voc_baseline"
