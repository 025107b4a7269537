"""YOLOv3 DarkNet-53 with objectness on COCO: the baseline.

v1: 33.0 AP (theirs, on another code base).

python train_net.py --config-file configs/detectron2/yolov3_darknet53_500k_baseline.py --num-gpus 8

500,200 iterations at batch 64, as darknet: meant for 8 GPUs; not run here.
"""

from ..common.schedules import steps
from .common.dense import at_sizes_of_yolov3, yolov3
from .common.zoo import engine, recipe

dataloader, _, _, optimizer, train = recipe("COCO-Detection/fcos_R_50_FPN_1x.py")
model = yolov3()
at_sizes_of_yolov3(dataloader)
dataloader.train.total_batch_size = 64
# darknet's rate is 1e-3 for sums over the images; here they are divided by the foreground, seven or so an image
optimizer.update(lr=0.01, weight_decay=5e-4)
lr_multiplier = steps(500_200, [400_000, 450_000], warmup=1_000, start=0.01)
train.update(output_dir="output/detectron2/yolov3_darknet53_500k_baseline", prior=None)
train.update(max_iter=500_200, init_checkpoint="")
