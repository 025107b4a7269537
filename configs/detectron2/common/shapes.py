"""The generated shapes as detectron2 data sets: 4,000 images of 64 px for training, 300 for evaluation."""

import detectron2.data.transforms as T
from detectron2.config import LazyCall as L
from detectron2.data import DatasetMapper, build_detection_test_loader, build_detection_train_loader
from detectron2.evaluation import COCOEvaluator
from omegaconf import OmegaConf

from sampling_free.detectron2.train.splits import shapes_split

from ...common.schedules import steps
from .zoo import engine, host_config, with_our_options

num_classes = 5


def split(name):
    settings = dict(size=64, num_train=4000, num_val=300)
    return L(shapes_split)(
        name=f"shapes_{name}", root="output/data/shapes-64", split=name, settings=settings, filter_empty=False
    )


def dataloader(masks=False):
    return OmegaConf.create(
        dict(
            train=L(build_detection_train_loader)(
                dataset=split("train"),
                mapper=L(DatasetMapper)(
                    is_train=True,
                    augmentations=[L(T.RandomFlip)(horizontal=True)],
                    image_format="BGR",
                    use_instance_mask=masks,
                    instance_mask_format="bitmask",
                ),
                total_batch_size=8,
                num_workers=1,
            ),
            test=L(build_detection_test_loader)(
                dataset=split("val"),
                mapper=L(DatasetMapper)(is_train=False, augmentations=[], image_format="BGR"),
                batch_size=16,
                num_workers=0,
            ),
            evaluator=L(COCOEvaluator)(dataset_name="${..test.dataset.name}"),
        ),
        flags={"allow_objects": True},
    )


optimizer = host_config("common/optim.py", "SGD")
optimizer.lr = 0.02
lr_multiplier = steps(800, [640], warmup=80, start=0.05)  # one step down at four fifths
train = with_our_options(host_config("common/train.py", "train"))
train.update(max_iter=800, eval_period=400, checkpointer=dict(period=200), log_period=5)
