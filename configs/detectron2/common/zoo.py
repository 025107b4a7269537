"""detectron2's own config files, from where it is installed, and what our engine adds to their `train`."""

from pathlib import Path

import detectron2
from detectron2.config import LazyConfig

engine = "sampling_free.detectron2.train.engine"
_CONFIGS = Path(detectron2.__file__).parent / "model_zoo" / "configs"


def host_config(name, key=None):
    """The nodes of one of detectron2's files, `COCO-Detection/retinanet_R_50_FPN_1x.py` for one, or one of them."""
    # by path: detectron2's model_zoo module needs pkg_resources, which newer versions of setuptools lack
    return LazyConfig.load(str(_CONFIGS / name), key)


def recipe(name):
    """Data, schedule, model, optimiser and `train` of one of detectron2's files."""
    cfg = host_config(name)
    return cfg.dataloader, cfg.lr_multiplier, cfg.model, cfg.optimizer, with_our_options(cfg.train)


def with_our_options(train):
    """detectron2's `train` with what our engine adds, in place."""
    train.update(_TRAIN)
    train.amp.dtype = "fp16"  # where train.amp.enabled; or "bf16"
    return train


_TRAIN = dict(
    seed=0,  # of weights, data order and everything random in the model
    clip_grad=None,  # largest norm of the gradient
    prior="auto",  # of a sampling-free model: counted in the training data, or a number, or None to leave it
)
