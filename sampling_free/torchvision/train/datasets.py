"""COCO-format, VOC-layout and generated data as torchvision's detectors take it. Letters: M boxes, K categories.

An item is `(image, target)`: image float32 `(3, H, W)` in [0, 1] RGB; target `boxes` float32 `(M, 4)` XYXY pixels,
`labels` int64 `(M,)` in 1..K (0 is torchvision's background), `image_id`, and `masks` uint8 `(M, H, W)` where asked
for. Images without boxes are kept: they are background, and background trains.
"""

import contextlib
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from pycocotools.coco import COCO
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from sampling_free.data import CheckedAnnotations, check_annotations, generate_shapes, matched, read_image, read_voc
from sampling_free.data.background import with_background
from sampling_free.data.paths import existing, within
from sampling_free.data.shapes import ShapesSettings
from sampling_free.errors import UserError
from sampling_free.torchvision.train import transforms as presets

logger = logging.getLogger(__name__)

VOC_CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant "
    "sheep sofa train tvmonitor"
).split()


class DetectionDataset(Dataset):
    """Checked annotations and their images.

    Args:
        checked: from `check_annotations`.
        image_folder: where the images lie.
        transforms: of torchvision's v2, called with (image, target); what it leaves without area is dropped.
        masks: whether targets have masks.
        keep_empty: whether images without boxes train.
        labels: "contiguous" numbers the categories 1..K in the order of their ids; "category_id" keeps the ids, as
            torchvision's own COCO weights want it.

    Attributes:
        categories: names; `category_ids`: COCO ids; `label_names`: name of each label; `coco`: the ground truth for
            pycocotools; `background`: ids of the images that were added as such; `has_objects`: whether there is a box
            that is none of a crowd; `source`: the name of the file; `summary`: one sentence.
    """

    def __init__(
        self,
        checked: CheckedAnnotations,
        image_folder: str | Path,
        *,
        transforms: Callable[..., Any] | None = None,
        masks: bool = False,
        keep_empty: bool = True,
        labels: str = "contiguous",
    ) -> None:
        if labels not in ("contiguous", "category_id"):
            raise UserError(f"labels must be 'contiguous' or 'category_id', not {labels!r}")
        self.image_folder = Path(image_folder)
        self.background: frozenset[int] = frozenset()
        self.transforms = transforms or presets.evaluation()
        self.masks = masks
        self.summary = checked.summary
        self.source = checked.problems.source
        self.has_objects = checked.has_objects
        self.categories = [category["name"] for category in checked.coco["categories"]]
        ids = [category["id"] for category in checked.coco["categories"]]
        self.category_of_label = dict(enumerate(ids, start=1)) if labels == "contiguous" else {i: i for i in ids}
        self.label_of_category = {category: label for label, category in self.category_of_label.items()}
        self.coco = _index(checked.coco)
        self.image_ids = [
            identity for identity in self.coco.imgs if keep_empty or self.coco.getAnnIds(identity, iscrowd=False)
        ]
        if not self.image_ids:
            raise UserError(f"{checked.problems.source} has no image with boxes: the data set is empty")

    @property
    def num_labels(self) -> int:
        """The largest label plus 1: what a torchvision model's `num_classes` must be at least."""
        return max(self.category_of_label, default=0) + 1

    @property
    def label_names(self) -> dict[int, str]:
        """Name of each label."""
        names = {category["id"]: category["name"] for category in self.coco.dataset["categories"]}
        return {label: names[category] for label, category in self.category_of_label.items()}

    def match(self, label_names: Mapping[int, str]) -> None:
        """Give each category the label that a model knows it by, found by its name.

        Args:
            label_names: of the model, or of the data that it trains on.

        Raises:
            UserError: there are boxes of a class that the model does not know.
        """
        used = {box["category_id"] for box in self.coco.anns.values()}
        categories = self.coco.dataset["categories"]
        self.label_of_category = matched(label_names, categories, used, self.source)
        self.category_of_label = {label: category for category, label in self.label_of_category.items()}

    def __len__(self) -> int:
        return len(self.image_ids)

    def image_path(self, index: int) -> Path:
        """Where the image of an item lies."""
        return self.image_folder / self.coco.imgs[self.image_ids[index]]["file_name"]

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Any]]:
        """Image and target; see the head of this file.

        Raises:
            UserError: the image cannot be read, or has another size than its annotation says; it names the file.
        """
        image = self._read(index)
        boxes = self.coco.loadAnns(self.coco.getAnnIds(self.image_ids[index], iscrowd=False))
        image, target = self.transforms(image, self._target(index, boxes, (image.height, image.width)))
        return image.as_subclass(Tensor), _with_area(target)

    def _read(self, index: int) -> Image.Image:
        path, record = self.image_path(index), self.coco.imgs[self.image_ids[index]]
        pixels = read_image(path)
        height, width = pixels.shape[:2]
        if (height, width) != (record["height"], record["width"]):
            raise UserError(
                f"image {path} is {width} x {height}, but its annotation says {record['width']} x {record['height']}; "
                f"mend the annotation file"
            )
        return Image.fromarray(pixels)

    def _target(self, index: int, boxes: list[dict[str, Any]], size: tuple[int, int]) -> dict[str, Any]:
        xywh = torch.tensor([box["bbox"] for box in boxes], dtype=torch.float32).reshape(-1, 4)
        corners = torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], dim=1)
        target: dict[str, Any] = {
            "boxes": tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=size),
            "labels": torch.tensor([self.label_of_category[box["category_id"]] for box in boxes], dtype=torch.int64),
            "image_id": self.image_ids[index],
        }
        if self.masks:
            masks = [torch.from_numpy(self.coco.annToMask(box)) for box in boxes]
            target["masks"] = tv_tensors.Mask(torch.stack(masks) if masks else torch.zeros(0, *size, dtype=torch.uint8))
        return target


class CocoDetection(DetectionDataset):
    """A COCO-format data set. `root` and paths relative to it; further arguments as `DetectionDataset`.

    Args:
        root: of the data set.
        images: folder of the images, within `root`.
        annotations: the json file, within `root`.
        strict: refuse a file with any bad annotation, instead of mending or dropping those.
        allow_outside: whether file names may lead out of the image folder.
        background: a json file within `root`, of images without objects in the same folder; they join the others.
        background_share: of them that do.
    """

    def __init__(
        self,
        root: str | Path,
        images: str,
        annotations: str,
        *,
        strict: bool = False,
        allow_outside: bool = False,
        background: str | None = None,
        background_share: float = 1.0,
        **options: Any,
    ) -> None:
        folder = existing(root)
        choices = {"masks": options.get("masks", False), "strict": strict, "allow_outside": allow_outside}
        path, added = within(folder, annotations), frozenset[int]()
        content: Any = path
        if background is not None:
            content, added = with_background(path, within(folder, background), share=background_share)
        image_folder = within(folder, images)
        checked = check_annotations(content, image_folder, source=str(path), **choices)
        super().__init__(checked, image_folder, **options)
        self.background = added & set(self.image_ids)


class VocDetection(DetectionDataset):
    """A data set in VOC's layout, or several joined; further arguments as `DetectionDataset`.

    Args:
        root: folder that the folders of `splits` are relative to.
        splits: (folder, list name) pairs, as [["VOC2007", "trainval"], ["VOC2012", "trainval"]].
        classes: names in the order of their labels.
        strict: refuse a data set with any bad annotation, instead of mending or dropping those.
        leave_out_unlisted: leave out objects of other classes than `classes`, instead of refusing them.
    """

    def __init__(
        self,
        root: str | Path,
        splits: Sequence[tuple[str, str]],
        *,
        classes: Sequence[str] = tuple(VOC_CLASSES),
        strict: bool = False,
        leave_out_unlisted: bool = False,
        **options: Any,
    ) -> None:
        pairs = [(within(existing(root), folder), name) for folder, name in splits]
        source = " and ".join(f"{folder} ({name})" for folder, name in pairs)
        content = read_voc(pairs, classes, leave_out_unlisted=leave_out_unlisted)
        checked = check_annotations(content, Path(), strict=strict, allow_outside=True, source=source)
        super().__init__(checked, Path(), **options)


class Shapes(CocoDetection):
    """The generated data set, drawn on first use; see `sampling_free.data.shapes`.

    Args:
        root: where it lies, or will.
        split: "train" or "val".
        settings: of the generator, as keywords of `ShapesSettings`.
    """

    def __init__(self, root: str | Path, split: str, *, settings: dict[str, int] | None = None, **options: Any) -> None:
        generate_shapes(root, ShapesSettings(**(settings or {})))
        super().__init__(root, split, f"annotations/instances_{split}.json", **options)


def _index(content: dict[str, Any]) -> COCO:
    """pycocotools' index of a dictionary, without its messages on standard output."""
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _with_area(target: dict[str, Any]) -> dict[str, Any]:
    """Plain tensors of the boxes that have an area; a crop may have left some without, or out of, the picture."""
    keep = (target["boxes"][:, 2:] > target["boxes"][:, :2]).all(dim=1)
    return {
        name: value.as_subclass(Tensor)[keep] if isinstance(value, Tensor) else value for name, value in target.items()
    }
