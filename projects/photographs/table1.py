r"""The papers' Table 1 on photographs: RetinaNet with plain cross-entropy, over the prior pi and the weight w.

PHOTOGRAPHS_ROOT=data/voc2012_animals sampling-free study projects/photographs/table1.py \
        --output projects/photographs/table1 --work output/table1

No layer of the heads is normalised and gradients are not clipped, as in the papers. A row says AP or "diverged".
`sampling-free plot output/table1/* --output output/table1/pictures` draws the losses and their balance (Fig. 2 and 3).
"""

CONFIG = "configs/torchvision/photographs.py"
PRIORS = (1e-2, 1e-3, 1e-4, 1e-5)
WEIGHTS = (1.0, 1e-1, 1e-2, 1e-3)


def _cross_entropy(prior, weight):
    return dict(
        config=f"{CONFIG}:retinanet_bias_only", overrides=[f"train.prior={prior}", f"model.scaling.w={weight}"], group=1
    )


study = dict(
    rates=[0.01],  # one rate for all, as in the papers
    overrides=["train.clip_grad=null", "train.max_iter=424"],  # a third of the photographs' schedule
    seeds=1,
    rows={
        "RetinaNet, Focal Loss": dict(config=f"{CONFIG}:retinanet_own"),
        "RetinaNet, Sampling-Free": dict(config=f"{CONFIG}:retinanet"),
    }
    | {
        f"RetinaNet, cross-entropy pi {prior:.0e} w {weight:.0e}": _cross_entropy(prior, weight)
        for prior in PRIORS
        for weight in WEIGHTS
    },
)
