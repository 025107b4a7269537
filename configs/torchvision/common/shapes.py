"""The generated shapes: 4,000 images of 64 px for training, 300 for evaluation, drawn on first use."""

from sampling_free.config import LazyCall as L
from sampling_free.torchvision.train import transforms
from sampling_free.torchvision.train.datasets import Shapes

from ...common.schedules import steps
from .run import run


def on_shapes(model, lr=0.02, max_iter=800, warmup=40, evaluations=2, **options):
    """A config that trains a model for minutes on a CPU; the rate falls to a tenth at four fifths."""
    model.num_classes = 6  # five shapes and torchvision's background
    model.weights_backbone = "output/data/shapes-resnet10.pt"  # trained on first use
    dataloader = dict(
        train=dict(dataset=_split("train", transforms.training), total_batch_size=8, num_workers=1),
        test=dict(dataset=_split("val", transforms.evaluation), batch_size=16, num_workers=0, masks=False),
    )
    schedule = steps(max_iter, [max_iter * 4 // 5], warmup=warmup, start=0.1)
    periods = dict(max_iter=max_iter, eval_period=max_iter // evaluations, checkpoint_period=200, log_period=5)
    return run(model, dataloader, schedule, lr=lr, **periods, **options)


def _split(name, transform):
    settings = dict(size=64, num_train=4000, num_val=300)
    return L(Shapes)(
        root="output/data/shapes-64", split=name, settings=settings, transforms=L(transform)(), masks=False
    )
