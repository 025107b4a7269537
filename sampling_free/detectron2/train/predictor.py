"""A trained model with what its test data do to an image."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data.transforms import AugInput, AugmentationList
from numpy.typing import NDArray
from omegaconf import DictConfig

from sampling_free import config
from sampling_free.detectron2.train.checkpointer import RunCheckpointer
from sampling_free.detectron2.train.loading import categories_of, open_data
from sampling_free.runs.checkpoints import label_names_of


class Predictor:
    """A model with what its test data do to an image.

    Args:
        cfg: of the model and the test mapper.
        weights: path of a checkpoint.
    """

    def __init__(self, cfg: DictConfig, weights: str | Path) -> None:
        self.model = config.instantiate(cfg.model, "model")
        RunCheckpointer(self.model).load_weights(weights)
        self.model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        mapper = config.plain(cfg.dataloader.test.mapper)
        self.augmentations = AugmentationList(config.instantiate(mapper["augmentations"], "augmentations"))
        self.is_bgr = mapper.get("image_format", "BGR") == "BGR"

    @torch.no_grad()
    def __call__(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Detections in one image `(H, W, 3)` uint8 RGB."""
        height, width = image.shape[:2]
        given = AugInput(image[..., ::-1] if self.is_bgr else image)
        self.augmentations(given)
        tensor = torch.from_numpy(np.ascontiguousarray(given.image.transpose(2, 0, 1)))
        found = self.model([{"image": tensor, "height": height, "width": width}])[0]["instances"].to("cpu")
        arrays = {"boxes": found.pred_boxes.tensor, "scores": found.scores, "labels": found.pred_classes}
        if found.has("pred_masks"):
            arrays["masks"] = found.pred_masks
        return {name: value.numpy() for name, value in arrays.items()}


def load_model(cfg: DictConfig, weights: str | Path) -> Predictor:
    """The config's model with the weights of a checkpoint, in evaluation mode, on the GPU where there is one."""
    return Predictor(cfg, weights)


def predict(model: Predictor, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Detections in one image `(H, W, 3)` uint8 RGB: `boxes` XYXY, `scores`, `labels`, and `masks` where there are."""
    return model(image)


def category_names(cfg: DictConfig, weights: str | Path | None = None) -> dict[int, str]:
    """Name of each label that the model predicts: the checkpoint's, or those of the config's test data."""
    known = label_names_of(weights) if weights else {}
    if known:
        return known
    node = cfg.dataloader.test.dataset
    open_data(node, "dataloader.test.dataset")
    return dict(enumerate(categories_of(node)))
