"""The generated shapes as detectron2 data sets: 4,000 images of 64 px for training, 300 for evaluation."""

import detectron2.data.transforms as T
from detectron2.data import DatasetMapper, build_detection_test_loader

from sampling_free.config import LazyCall as L
from sampling_free.config import as_config
from sampling_free.detectron2.models import host_config
from sampling_free.detectron2.train.evaluation import CocoEvaluator
from sampling_free.detectron2.train.loading import train_loader
from sampling_free.detectron2.train.splits import shapes_split
from sampling_free.detectron2.train.zoo import ENGINE, with_our_options

from ...common.schedules import steps

NUM_CLASSES = 5


def on_shapes(model, max_iter=800, warmup=80, start=0.05, evaluations=2, masks=False, **options):
    """A config that trains a model for minutes on a CPU; the rate falls to a tenth at four fifths."""
    cfg = small_run(model, _split("train"), _split("val"), masks=masks)
    cfg.lr_multiplier = steps(max_iter, [max_iter * 4 // 5], warmup=warmup, start=start)
    cfg.train.update(
        max_iter=max_iter, eval_period=max_iter // evaluations, checkpointer=dict(period=200), log_period=5
    )
    cfg.train.update(options)
    return cfg


def small_run(model, train, test, masks=False):
    """Engine, loaders and optimiser around a model and two splits, at batch 8."""
    optimizer = host_config("common/optim.py", "SGD")
    optimizer.lr = 0.02
    dataloader = dict(
        train=L(train_loader)(
            dataset=train,
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
            dataset=test,
            mapper=L(DatasetMapper)(is_train=False, augmentations=[], image_format="BGR"),
            batch_size=16,
            num_workers=0,
        ),
        evaluator=L(CocoEvaluator)(dataset_name="${..test.dataset.name}"),
    )
    options = with_our_options(host_config("common/train.py", "train"))
    return as_config(dict(engine=ENGINE, model=model, dataloader=dataloader, optimizer=optimizer, train=options))


def _split(name):
    settings = dict(size=64, num_train=4000, num_val=300)
    return L(shapes_split)(
        name=f"shapes_{name}", root="output/data/shapes-64", split=name, settings=settings, filter_empty=False
    )
