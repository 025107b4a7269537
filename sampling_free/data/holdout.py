"""A part of the training images set apart, so that choices are made without a look at the validation images."""

import json
import os
import random
from pathlib import Path

from sampling_free.errors import UserError


def split_images(annotations: Path, folder: Path, *, share: float = 0.2, seed: int = 0) -> tuple[Path, Path]:
    """Split a COCO file by images into one to train on and one to evaluate on.

    Args:
        annotations: the COCO file.
        folder: where the two files go; they stay as they are where they exist.
        share: of the images that are held out, in (0, 1).
        seed: of the choice.

    Returns:
        Paths of the two files.

    Raises:
        UserError: the share is not between 0 and 1, or a part would be empty.
    """
    if not 0 < share < 1:
        raise UserError(f"the share of held-out images must lie between 0 and 1, not at {share}")
    fit, held = folder / f"{annotations.stem}_fit.json", folder / f"{annotations.stem}_held_out.json"
    if fit.is_file() and held.is_file():
        return fit, held
    content = json.loads(annotations.read_text(encoding="utf-8"))
    identities = sorted(image["id"] for image in content["images"])
    random.Random(seed).shuffle(identities)
    count = round(share * len(identities))
    if not 0 < count < len(identities):
        raise UserError(f"{annotations} has {len(identities)} images: too few to hold out {share:.0%} of them")
    folder.mkdir(parents=True, exist_ok=True)
    for path, chosen in ((held, set(identities[:count])), (fit, set(identities[count:]))):
        part = content | {
            "images": [image for image in content["images"] if image["id"] in chosen],
            "annotations": [record for record in content["annotations"] if record["image_id"] in chosen],
        }
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(part), encoding="utf-8")
        os.replace(partial, path)
    return fit, held
