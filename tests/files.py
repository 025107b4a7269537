"""Files that are broken in a certain way."""

import io

import numpy as np
from PIL import Image


def corrupt(path):
    """Put a picture of the same size in a file's place whose header and end are right, and nothing between."""
    with Image.open(path) as image:
        pixels = np.random.default_rng(0).integers(0, 256, (image.height, image.width, 3), np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    content = written.getvalue()
    path.write_bytes(content[:60] + bytes(len(content) - 120) + content[-60:])
