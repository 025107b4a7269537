"""RetinaNet on VOC 07+12, sampling-free as in v2.

For comparison, v2 Table VI: 80.1 mAP at IoU 0.5 (theirs); this engine prints COCO's AP50, a near relative.

python train_net.py --config-file configs/torchvision/retinanet_voc.py --num-gpus 8

18,000 iterations at batch 16, hours on 2 GPUs; not run here.
"""

from ..common.sampling_free import sampling_free
from .retinanet_voc_baseline import dataloader, engine, lr_multiplier, model, optimizer, train

model = sampling_free(model)
train.output_dir = "output/retinanet_voc"
