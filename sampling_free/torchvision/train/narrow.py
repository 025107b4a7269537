"""Pictures so narrow that a model's scaling leaves nothing of them."""

from collections.abc import Iterable
from typing import Any

from sampling_free.errors import UserError


def vanishes(model: Any, height: int, width: int) -> bool:
    """Whether torchvision's transform of a detector scales an image to a height or width of 0."""
    transform = getattr(model, "transform", None)
    if transform is None or getattr(transform, "fixed_size", None) is not None:
        return False
    shorter, longer = min(height, width), max(height, width)
    scale = min(min(transform.min_size) / shorter, transform.max_size / longer)
    return int(shorter * scale) < 1


def refuse_narrow(model: Any, images: Iterable[dict[str, Any]], source: str) -> None:
    """Refuse data with an image that the model scales to nothing.

    Args:
        model: a detector.
        images: COCO's records.
        source: name of their file.

    Raises:
        UserError: there is one; it names the first.
    """
    found = [image for image in images if vanishes(model, image["height"], image["width"])]
    if found:
        first = found[0]
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise UserError(
            f"{source}: image {first['file_name']} of {first['width']} x {first['height']} pixels{more} is scaled to "
            f"nothing; remove it from the annotations, or scale images less (the model's max_size)"
        )
