"""detectron2 has its two-stage models as LazyConfigs with masks only: here they lose them."""


def without_masks(model, dataloader=None):
    """In place; returns the model."""
    for name in ("mask_in_features", "mask_pooler", "mask_head"):
        model.roi_heads.pop(name)
    if dataloader is not None:
        dataloader.train.mapper.use_instance_mask = False
    return model
