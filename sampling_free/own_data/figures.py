"""What is counted in a data set before anything trains. Letters: N images, M boxes."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Figures:
    """Sizes of the images and boxes of one split.

    Attributes:
        images: `(N, 2)`, widths and heights in pixels.
        boxes: `(M, 2)`, widths and heights in pixels; objects marked as crowds are left out.
        owners: `(M,)`, the image of each box, from 0.
        classes: `(M,)`, ids of the boxes' classes.
        masks: boxes with a mask.
    """

    images: NDArray[np.float64]
    boxes: NDArray[np.float64]
    owners: NDArray[np.int64]
    classes: NDArray[np.int64]
    masks: int

    @classmethod
    def of(cls, content: dict[str, list[dict[str, Any]]]) -> "Figures":
        """Count a checked COCO dictionary."""
        places = {image["id"]: place for place, image in enumerate(content["images"])}
        objects = [entry for entry in content["annotations"] if not entry.get("iscrowd")]
        sizes = [(image["width"], image["height"]) for image in content["images"]]
        return cls(
            np.array(sizes, dtype=np.float64).reshape(-1, 2),
            np.array([entry["bbox"][2:] for entry in objects], dtype=np.float64).reshape(-1, 2),
            np.array([places[entry["image_id"]] for entry in objects], dtype=np.int64),
            np.array([entry["category_id"] for entry in objects], dtype=np.int64),
            sum(bool(entry.get("segmentation")) for entry in objects),
        )

    @property
    def shorter(self) -> float:
        """The median image's shorter side."""
        return float(np.median(self.images.min(axis=1)))

    @property
    def aspect(self) -> float:
        """Longer over shorter side, of nineteen images in twenty no more."""
        return float(np.quantile(self.images.max(axis=1) / self.images.min(axis=1), 0.95))

    @property
    def sides(self) -> NDArray[np.float64]:
        """`(M,)`: the side of a square of each box's area, in pixels of an image of the median's shorter side."""
        return np.sqrt(self.boxes.prod(axis=1)) * self.scales

    @property
    def scales(self) -> NDArray[np.float64]:
        """`(M,)`: what resizes each box's image to the median's shorter side."""
        return self.shorter / self.images.min(axis=1)[self.owners]

    @property
    def per_image(self) -> NDArray[np.int64]:
        """`(N,)`: boxes of each image."""
        return np.bincount(self.owners, minlength=len(self.images))

    @property
    def per_class(self) -> Counter:
        """Boxes by id of their class."""
        return Counter(self.classes.tolist())
