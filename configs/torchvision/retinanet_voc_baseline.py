"""RetinaNet with Focal Loss on VOC 07+12: torchvision's own, the baseline.

For comparison, v2 Table VI: 79.3 mAP at IoU 0.5 (theirs); this engine prints COCO's AP50, a near relative.

python train_net.py --config-file configs/torchvision/retinanet_voc_baseline.py --num-gpus 8

18,000 iterations at batch 16, hours on 2 GPUs; not run here.
"""

from torchvision.models.detection import retinanet_resnet50_fpn

from sampling_free.config import LazyCall as L

from ..common.voc import dataloader, engine, lr_multiplier, num_classes, optimizer, train

model = L(retinanet_resnet50_fpn)(weights=None, weights_backbone="DEFAULT", num_classes=num_classes)
train.output_dir = "output/retinanet_voc_baseline"
