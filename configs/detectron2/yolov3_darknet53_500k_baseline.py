"""YOLOv3 DarkNet-53 with objectness on COCO: the baseline.

v1: 33.0 AP (theirs, on another code base).

python train_net.py --config-file configs/detectron2/yolov3_darknet53_500k_baseline.py --num-gpus 8

500,200 iterations at batch 64, as darknet: meant for 8 GPUs; not run here.
"""

from ..common.schedules import steps
from .common.dense import yolov3
from .common.zoo import engine, recipe

dataloader, _, _, optimizer, train = recipe("COCO-Detection/fcos_R_50_FPN_1x.py")
model = yolov3()
for split in (dataloader.train, dataloader.test):
    split.mapper.image_format = "RGB"
    split.mapper.augmentations[0].update(short_edge_length=608, max_size=608)
dataloader.train.mapper.augmentations[0].short_edge_length = list(range(320, 609, 32))
dataloader.train.total_batch_size = 64
# darknet's rate is 1e-3 for sums over the images; here they are divided by the foreground, seven or so an image
optimizer.update(lr=0.01, weight_decay=5e-4)
lr_multiplier = steps(500_200, [400_000, 450_000], warmup=1_000, start=0.01)
train.update(output_dir="output/detectron2/yolov3_darknet53_500k_baseline", prior=None)
train.update(max_iter=500_200, init_checkpoint="")
