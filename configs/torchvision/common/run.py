"""A whole config from its parts, and changes of a whole config: each takes one, changes it in place and returns it."""

import torch

from sampling_free.config import LazyCall as L
from sampling_free.config import as_config
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling, parameter_groups
from sampling_free.torchvision import build_sampling_free

OPTIONS = dict(
    output_dir=None,  # None: output/FOLDER/FILE/VARIANT
    init_checkpoint="",  # weights to start from, or to evaluate: a checkpoint of a run or a bare state dict
    max_iter=90_000,  # iterations: calls of the optimiser
    eval_period=5_000,  # iterations between evaluations; the last one is always evaluated, with 0 no other
    checkpoint_period=1_000,  # iterations between writes of checkpoints/last.ckpt; with 0 only at the end
    log_period=20,  # iterations between rows of metrics.csv
    seed=0,  # of weights, data order, transforms and everything random in the model
    precision="32-true",  # or "bf16-mixed", "16-mixed"
    accumulate=1,  # batches that make an iteration
    clip_grad=None,  # largest norm of the gradient
    ema=None,  # decay of an exponential moving average of the weights, as 0.999; evaluated instead of them
    patience=None,  # evaluations without a better AP after which the run stops
    validation_loss=False,  # compute losses of the evaluation images as well
    gradient_shares=False,  # log whose gradient it is, foreground's or background's, classification's or localisation's
    prior="auto",  # of a sampling-free model: counted in the data, or a number, or None to leave it
)


def run(model, dataloader, lr_multiplier, *, lr, **options):
    """A config: the papers' optimiser at a rate, and options of the run other than the defaults."""
    # the engine fills in the model; the learned loss scale has no weight decay
    params = L(parameter_groups)(model=None, weight_decay=1e-4)
    return as_config(
        dict(
            engine="sampling_free.torchvision.train.engine",
            model=model,
            dataloader=dataloader,
            optimizer=L(torch.optim.SGD)(params=params, lr=lr, momentum=0.9),
            lr_multiplier=lr_multiplier,
            train=OPTIONS | options,
        )
    )


def sampling_free(cfg, **choices):
    """The method, in place of torchvision's own training; choices are those of `make_sampling_free`."""
    cfg.model.update(_target_=build_sampling_free, detector=cfg.model._target_, **choices)
    return cfg


def focal_loss(cfg, **settings):
    """Focal Loss for a detector of this project: its own form. Its bias is then Focal Loss's, not counted."""
    cfg.model.update(classification_loss=L(FocalLoss)(**settings), scaling=L(ConstantScaling)())
    cfg.train.prior = None
    return cfg


def masks(cfg):
    """Masks in training, evaluation and AP."""
    for node in (cfg.dataloader.train.dataset, cfg.dataloader.test.dataset, cfg.dataloader.test):
        node.masks = True
    return cfg
