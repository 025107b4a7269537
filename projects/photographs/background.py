r"""Images without objects: RetinaNet, own form and sampling-free, trained with none, half and all of VOC's.

The background images are those of VOC 2012 that show none of the six classes; `voc_animals.py` selects them. Each run
is evaluated on the validation images and on the background images of VOC's val list.

PHOTOGRAPHS_ROOT=data/voc2012_animals sampling-free study projects/photographs/background.py \
        --output projects/photographs/background
"""

CONFIG = "configs/torchvision/photographs.py"
FORMS = {"Focal Loss": "retinanet_own", "Sampling-Free": "retinanet"}
SHARES = {"no background images": 0.0, "half of them": 0.5, "all of them": 1.0}


def _row(variant, share):
    train = "+dataloader.train.dataset"
    overrides = [f"{train}.background=annotations/background_train.json", f"{train}.background_share={share}"]
    return dict(config=f"{CONFIG}:{variant}", overrides=overrides)


study = dict(
    rates=[0.005, 0.01, 0.02, 0.04],
    overrides=["+dataloader.test.dataset.background=annotations/background_val.json"],
    # the validation images choose nothing
    tune=["train.max_iter=424", "dataloader.test.dataset.background=null"],
    holdout=0.2,
    seeds=3,
    rows={
        f"RetinaNet with {words}, {form}": _row(variant, share)
        for words, share in SHARES.items()
        for form, variant in FORMS.items()
    },
)
