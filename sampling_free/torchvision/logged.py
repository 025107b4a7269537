"""What a training log should say beside the scaled losses, which by themselves say nothing."""

from torch import Tensor, nn

from sampling_free.mechanism import LossScaling


def logged_values(model: nn.Module) -> dict[str, Tensor]:
    """Figures of the last training step: raw losses, ratios, learned scales, counts of examples.

    Args:
        model: any module; every `LossScaling` in it is asked.

    Returns:
        Detached tensors (scalars, but for sigma) by name. With several heads a name that is not a loss's own is
        prefixed by its head: `rpn/ratio`, `roi_heads/ratio`.
    """
    scalings = {name: module for name, module in model.named_modules() if isinstance(module, LossScaling)}
    values: dict[str, Tensor] = {}
    for path, scaling in scalings.items():
        head = path.rpartition(".")[0].rpartition(".")[2]
        prefix = f"{head}/" if len(scalings) > 1 else ""
        values |= {key if key.startswith("raw/") else prefix + key: value for key, value in scaling.last.items()}
    return values
