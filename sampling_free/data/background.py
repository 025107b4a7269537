"""Images without objects, added to a data set: whatever a detector finds there is a false alarm."""

import random
from pathlib import Path
from typing import Any

from sampling_free.data.values import read_json, whole
from sampling_free.errors import UserError


def with_background(
    annotations: Path, background: Path, *, share: float = 1.0
) -> tuple[dict[str, Any], frozenset[int]]:
    """Join a COCO file with one of images without objects.

    Args:
        annotations: the COCO file.
        background: a COCO file without annotations, of images in the same folder.
        share: of these images that are added, in [0, 1]; a smaller share is a part of a larger one.

    Returns:
        The joined content, and the ids of the images that were added, which are new ones.

    Raises:
        UserError: a file has no list of images, the background has annotations, or the share is out of range.
    """
    if not 0 <= share <= 1:
        raise UserError(f"background_share must lie between 0 and 1, not at {share}")
    content, added = _read(annotations), _read(background)
    if added.get("annotations"):
        raise UserError(
            f"{background} has {len(added['annotations'])} annotations, but the images of a background have no "
            f"objects; take those images out"
        )
    images = sorted(added["images"], key=lambda image: str(image.get("file_name")))
    random.Random(0).shuffle(images)
    first = max((whole(image.get("id")) or 0 for image in content["images"]), default=0) + 1
    new = [image | {"id": first + number} for number, image in enumerate(images[: round(share * len(images))])]
    return content | {"images": [*content["images"], *new]}, frozenset(image["id"] for image in new)


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        raise UserError(f"{path} is no COCO detection file: it has no list 'images'")
    return content
