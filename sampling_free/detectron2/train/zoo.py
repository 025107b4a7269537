"""detectron2's own config files, from where it is installed, as configs of this project's engine."""

from detectron2.data import build_detection_train_loader
from detectron2.evaluation import COCOEvaluator
from omegaconf import DictConfig

from sampling_free.detectron2.models import host_config
from sampling_free.detectron2.train.evaluation import CocoEvaluator
from sampling_free.detectron2.train.loading import train_loader

ENGINE = "sampling_free.detectron2.train.engine"
_OURS = {build_detection_train_loader: train_loader, COCOEvaluator: CocoEvaluator}
_OPTIONS = dict(
    output_dir=None,  # None: output/FOLDER/FILE/VARIANT
    seed=0,  # of weights, data order and everything random in the model
    clip_grad=None,  # largest norm of the gradient
    gradient_shares=False,  # log whose gradient it is, foreground's or background's, classification's or localisation's
    prior="auto",  # of a sampling-free model: counted in the training data, or a number, or None to leave it
)


def from_zoo(name: str) -> DictConfig:
    """One of detectron2's configs, with the engine, the loader and the evaluator that run it here."""
    cfg = host_config(name)
    cfg.engine = ENGINE
    cfg.train = with_our_options(cfg.train)
    for node in (cfg.dataloader.train, cfg.dataloader.evaluator):
        node._target_ = _OURS.get(node._target_, node._target_)
    return cfg


def with_our_options(train: DictConfig) -> DictConfig:
    """detectron2's `train` with what our engine adds, in place."""
    train.update(_OPTIONS)
    train.amp.dtype = "fp16"  # where train.amp.enabled; or "bf16"
    return train
