"""Data sets as detectron2 knows them: the generated shapes, any COCO file with its images, VOC's layout.

A node of a config registers a data set under a name and opens it, checked:

    dataloader.train.dataset = L(coco_split)(name="cells", root="data/cells", images="images", annotations="a.json")

Images without objects stay unless `filter_empty` is set: they are background, and background trains.
"""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode
from pycocotools import mask as coco_mask

from sampling_free.data import CheckedAnnotations, check_annotations, generate_shapes, read_voc
from sampling_free.data.paths import existing, within
from sampling_free.data.shapes import ShapesSettings
from sampling_free.errors import UserError

logger = logging.getLogger(__name__)

Records = list[dict[str, Any]]  # detectron2's standard data set dicts

_KEPT = ("bbox", "iscrowd", "segmentation", "keypoints")  # of an annotation


def coco_split(
    name: str,
    root: str | Path,
    images: str,
    annotations: str,
    *,
    filter_empty: bool = False,
    masks: bool = False,
    strict: bool = False,
    allow_outside: bool = False,
) -> Records:
    """Register and open a COCO-format data set.

    Args:
        name: under which detectron2 and its evaluators know it; a former data set of this name is replaced.
        root: of the data set.
        images: folder of the images, within `root`.
        annotations: the json file, within `root`.
        filter_empty: leave out images without objects.
        masks: whether every object must have a mask; a config's engine sets it where the training mapper uses masks.
        strict: refuse a file with any bad annotation, instead of mending or dropping those.
        allow_outside: whether file names may lead out of the image folder.

    Raises:
        UserError: there is no such data set, or something in it cannot be mended by dropping annotations.
    """
    folder = existing(root)
    checked = check_annotations(
        within(folder, annotations), within(folder, images), masks=masks, strict=strict, allow_outside=allow_outside
    )
    records = _records(checked, folder / images)
    return _registered(name, records, checked, filter_empty=filter_empty, json_file=str(folder / annotations))


def voc_split(
    name: str,
    root: str | Path,
    splits: Sequence[tuple[str, str]],
    classes: Sequence[str],
    *,
    year: int = 2012,
    filter_empty: bool = False,
    strict: bool = False,
    leave_out_unlisted: bool = False,
) -> Records:
    """Register and open a data set in VOC's layout, or several joined; further arguments as `coco_split`.

    Args:
        name: under which detectron2 and its evaluators know it.
        root: folder that the folders of `splits` are relative to.
        splits: (folder, list name) pairs, as [["VOC2007", "trainval"], ["VOC2012", "trainval"]].
        classes: names in the order of their numbers.
        year: 2007 or 2012, whose way of computing AP `PascalVOCDetectionEvaluator` takes.
        filter_empty: leave out images without objects.
        strict: refuse a data set with any bad annotation.
        leave_out_unlisted: leave out objects of other classes than `classes`, instead of refusing them.
    """
    pairs = [(within(existing(root), folder), split) for folder, split in splits]
    source = " and ".join(f"{folder} ({split})" for folder, split in pairs)
    content = read_voc(pairs, classes, leave_out_unlisted=leave_out_unlisted)
    checked = check_annotations(content, Path(), strict=strict, allow_outside=True, source=source)
    _name_by_file(checked.coco)
    metadata: dict[str, Any] = {}
    if len(pairs) == 1:
        metadata = {"dirname": str(pairs[0][0]), "split": pairs[0][1], "year": year}
    return _registered(name, _records(checked, Path()), checked, filter_empty=filter_empty, **metadata)


def shapes_split(
    name: str,
    root: str | Path,
    split: str,
    *,
    settings: dict[str, int] | None = None,
    filter_empty: bool = False,
    masks: bool = False,
    strict: bool = False,
) -> Records:
    """Register and open the generated data set, drawn on first use; see `sampling_free.data.shapes`.

    Args:
        name: under which detectron2 and its evaluators know it.
        root: where it lies, or will.
        split: "train" or "val".
        settings: of the generator, as keywords of `ShapesSettings`.
        filter_empty: leave out images without objects.
        masks: as `coco_split`.
        strict: refuse it if any annotation is bad.
    """
    generate_shapes(root, ShapesSettings(**(settings or {})))
    annotations = f"annotations/instances_{split}.json"
    return coco_split(name, root, split, annotations, filter_empty=filter_empty, masks=masks, strict=strict)


def _records(checked: CheckedAnnotations, image_folder: Path) -> Records:
    """detectron2's records of checked annotations: classes 0, 1, ... in the order of the category ids."""
    numbers = {category["id"]: number for number, category in enumerate(checked.coco["categories"])}
    objects: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in checked.coco["images"]}
    for annotation in checked.coco["annotations"]:
        record = {key: annotation[key] for key in _KEPT if key in annotation}
        if isinstance(record.get("segmentation"), dict):
            record["segmentation"] = _compressed(record["segmentation"])
        record |= {"category_id": numbers[annotation["category_id"]], "bbox_mode": BoxMode.XYWH_ABS}
        objects[annotation["image_id"]].append(record)
    return [
        {
            "file_name": str(image_folder / image["file_name"]),
            "image_id": image["id"],
            "height": image["height"],
            "width": image["width"],
            "annotations": objects[image["id"]],
        }
        for image in checked.coco["images"]
    ]


def _compressed(mask: dict[str, Any]) -> dict[str, Any]:
    """Run lengths as detectron2 decodes them, who does not know those that are written as a list."""
    return coco_mask.frPyObjects(mask, *mask["size"]) if isinstance(mask.get("counts"), list) else mask


def _name_by_file(content: dict[str, list[dict[str, Any]]]) -> None:
    """Give VOC's images the names of their files for ids, as detectron2's evaluator of VOC wants; in place."""
    names = {image["id"]: image["stem"] for image in content["images"]}
    if len(set(names.values())) < len(names):  # two folders with files of one name: numbers stay
        return
    for image in content["images"]:
        image["id"] = names[image["id"]]
    for annotation in content["annotations"]:
        annotation["image_id"] = names[annotation["image_id"]]


def _registered(
    name: str, records: Records, checked: CheckedAnnotations, *, filter_empty: bool, **metadata: Any
) -> Records:
    """Register the records under a name, in place of what had it, and say what they are."""
    if name in DatasetCatalog.list():
        if not MetadataCatalog.get(name).get("truth"):
            raise UserError(f"detectron2 has a data set {name!r} already, which is another: give this one its own name")
        DatasetCatalog.remove(name)
    if name in MetadataCatalog.list():
        MetadataCatalog.remove(name)
    if filter_empty:
        records = [record for record in records if any(not o["iscrowd"] for o in record["annotations"])]
        if not records:
            raise UserError(f"{checked.problems.source} has no image with boxes: the data set is empty")
    categories = checked.coco["categories"]
    DatasetCatalog.register(name, partial(list, records))
    MetadataCatalog.get(name).set(
        thing_classes=[category["name"] for category in categories],
        thing_dataset_id_to_contiguous_id={category["id"]: i for i, category in enumerate(categories)},
        truth=checked.coco,  # what `CocoEvaluator` compares with
        **metadata,
    )
    without = "; those without are left out" if filter_empty else ""
    logger.info("data set %s: %s%s", name, checked.summary, without)
    return records
