"""YOLOv3 on COCO, sampling-free as in v2.

For comparison, v1, by its own scaling: 33.9 AP (theirs, on another code base); with objectness 33.0 AP.

python train_net.py --config-file configs/torchvision/yolov3_coco.py --num-gpus 8

500,200 iterations at batch 64, days on 8 GPUs; not run here.
"""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision import yolov3_darknet53

from ..common.coco import dataloader, engine, num_classes, optimizer, train
from ..common.schedules import steps

sizes = tuple(range(320, 609, 32))
model = L(yolov3_darknet53)(num_classes=num_classes, weights_backbone="DEFAULT", min_size=sizes, max_size=608)
dataloader["train"]["total_batch_size"] = 64
# darknet's rate is 1e-3 for sums over the images; here they are divided by the foreground, seven or so an image
optimizer.lr = 0.01
optimizer.params.weight_decay = 5e-4
lr_multiplier = steps(500_200, [400_000, 450_000], warmup=1_000, start=0.01)
train.update(output_dir="output/yolov3_coco", max_iter=500_200)
