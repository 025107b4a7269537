"""The generated shapes: 4,000 images of 64 px for training, 300 for evaluation, drawn on first use."""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.train import transforms
from sampling_free.torchvision.train.datasets import Shapes

from .optim import sgd as optimizer
from .schedules import steps
from .train import train

engine = "sampling_free.torchvision.train.engine"
root = "output/data/shapes-64"
settings = dict(size=64, num_train=4000, num_val=300)
weights_backbone = "output/data/shapes-resnet10.pt"  # trained on first use
num_classes = 6  # five shapes and torchvision's background

dataloader = dict(
    train=dict(
        dataset=L(Shapes)(
            root=root, split="train", settings=settings, transforms=L(transforms.training)(), masks=False
        ),
        total_batch_size=8,
        num_workers=1,
    ),
    test=dict(
        dataset=L(Shapes)(
            root=root, split="val", settings=settings, transforms=L(transforms.evaluation)(), masks=False
        ),
        batch_size=16,
        num_workers=0,
        masks=False,
    ),
)
# one step down at four fifths
optimizer.lr = 0.02
lr_multiplier = steps(800, [640], warmup=40, start=0.1)
train.update(max_iter=800, eval_period=400, checkpoint_period=200, log_period=5)
