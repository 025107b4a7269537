"""A trained model, and what it finds in an image."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import nn

from sampling_free import config
from sampling_free.runs.checkpoints import label_names_of
from sampling_free.torchvision.train.checkpoints import load_weights


def load_model(cfg: DictConfig, weights: str | Path) -> nn.Module:
    """The config's model with the weights of a checkpoint, in evaluation mode, on the GPU where there is one."""
    model = config.instantiate(cfg.model, "model")
    load_weights(model, weights)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


@torch.no_grad()
def predict(model: nn.Module, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Detections in one image `(H, W, 3)` uint8 RGB: `boxes` XYXY, `scores`, `labels`, and `masks` where there are."""
    device = next(model.parameters()).device
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1).to(device).float() / 255
    return {name: value.cpu().numpy() for name, value in model([tensor])[0].items()}


def category_names(cfg: DictConfig, weights: str | Path | None = None) -> dict[int, str]:
    """Name of each label that the model predicts: the checkpoint's, or those of the config's test data."""
    known = label_names_of(weights) if weights else {}
    return known or config.instantiate(cfg.dataloader.test.dataset, "dataloader.test.dataset").label_names
