"""A small pretrained backbone for the shapes: what ImageNet's weights are to COCO, in less than a minute on a CPU.

Detectors that start from random weights need many epochs before any two training methods differ; with a backbone that
has seen single shapes they need minutes. All methods that are compared start from the very same one.
"""

import logging
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.resnet import BasicBlock, ResNet
from tqdm import tqdm

from sampling_free.data.shapes import NUM_SINGLES, draw_single

logger = logging.getLogger(__name__)

_SIZE = 64  # px; a detector's image holds a few shapes, one of these holds one


def resnet10() -> ResNet:
    """ResNet with one basic block a stage, for `NUM_SINGLES` kinds of shapes."""
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=NUM_SINGLES).to(memory_format=torch.channels_last)


def shapes_resnet10(path: str | Path, *, seed: int = 0, num_images: int = 3000, epochs: int = 4) -> ResNet:
    """The backbone trained to name single shapes and distractors; trained on first use, then read from `path`.

    Args:
        path: of its state dict.
        seed: of images and weights.
        num_images: to train on, `(3, 64, 64)` each.
        epochs: over them, at batch 64.
    """
    path, model = Path(path), resnet10()
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            state = _train(resnet10(), *_singles(seed, num_images), epochs)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        torch.save(state, partial)
        os.replace(partial, path)
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model


def _singles(seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Images `(count, 3, 64, 64)` in [0, 1], normalised as torchvision's detectors do, and their kinds `(count,)`."""
    drawn = [draw_single(seed, index, _SIZE) for index in tqdm(range(count), desc="drawing single shapes", leave=False)]
    images = torch.from_numpy(np.stack([image for image, _ in drawn])).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = (images - mean[:, None, None]) / std[:, None, None]
    return images.to(memory_format=torch.channels_last), torch.tensor([kind for _, kind in drawn])


def _train(model: ResNet, images: Tensor, kinds: Tensor, epochs: int, batch_size: int = 64) -> dict[str, Tensor]:
    steps = epochs * (len(images) // batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    bar = tqdm(total=steps, desc="pretraining the backbone", unit="it")
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(batch_size)[: len(images) // batch_size]:
            logits = model(images[batch])
            loss = F.cross_entropy(logits, kinds[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            bar.update()
            bar.set_postfix(accuracy=f"{(logits.argmax(1) == kinds[batch]).float().mean():.2f}", refresh=False)
    bar.close()
    return model.state_dict()
