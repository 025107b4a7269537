"""Ten steps of training on a GPU, whatever the host."""

import torch

from sampling_free import parameter_groups

PRECISIONS = [torch.float32, torch.bfloat16, torch.float16]


def ten_steps(model, losses_of, precision):
    """Train; fails where a loss is not finite."""
    optimizer = torch.optim.SGD(parameter_groups(model, weight_decay=1e-4), lr=0.002, momentum=0.9)
    scaler = torch.amp.GradScaler("cuda", enabled=precision is torch.float16)
    model.train()
    for _ in range(10):
        with torch.autocast("cuda", precision, enabled=precision is not torch.float32):
            losses = losses_of(model)
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        assert total.isfinite(), losses
        optimizer.zero_grad()
        scaler.scale(total).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        scaler.step(optimizer)
        scaler.update()
