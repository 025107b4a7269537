"""Data of a config, checked, and the training stream that a resumed run finds where it left it.

detectron2's `build_detection_train_loader` draws without end from a position that nothing saves. The node of a config
that calls it is read here, and its parts (data set, mapper, batch size, grouping by aspect ratio) make a loader whose
every iteration is a function of the seed; see `sampling_free.runs.stream`.
"""

import difflib
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from detectron2.data import (
    DatasetCatalog,
    DatasetFromList,
    MapDataset,
    MetadataCatalog,
    build_detection_train_loader,
)
from detectron2.data.build import trivial_batch_collator
from detectron2.structures import BoxMode
from detectron2.utils import comm
from detectron2.utils.registry import locate
from torch.utils.data import DataLoader, Dataset

from sampling_free import config
from sampling_free.data import check_annotations
from sampling_free.detectron2.train.mapper import Reading
from sampling_free.detectron2.train.splits import Records, coco_split, shapes_split
from sampling_free.errors import UserError
from sampling_free.runs.stream import Stream, StreamSampler

logger = logging.getLogger(__name__)

_READ = {"_target_", "dataset", "mapper", "total_batch_size", "num_workers", "aspect_ratio_grouping"}


class TrainingData:
    """The training data of a config.

    Args:
        node: `dataloader.train` of the config.
        seed: of the order and of the augmentation.

    Attributes:
        categories: names of the classes, where the data set is registered with them.
        items: mapped items by number, or None for a loader that is not `build_detection_train_loader`'s.

    Raises:
        UserError: a data set is not registered, or has no object at all.
    """

    def __init__(self, node: Any, seed: int) -> None:
        self.node = config.plain(node)
        self.seed = seed
        self.items: Dataset | None = None
        self.categories: list[str] = []
        if not self._is_ours():
            logger.info("dataloader.train is a loader of its own: a resumed run starts its stream anew")
            return
        self.records = open_data(node.dataset, "dataloader.train.dataset", masks=uses_masks(node))
        self.categories = categories_of(node.dataset)
        if not has_objects(self.records):
            raise UserError("the training data has no box at all but of crowds: there is no foreground to learn from")
        mapper = Reading.of(self._drawing_masks(self.node["mapper"]), "dataloader.train.mapper")
        self.items = MapDataset(DatasetFromList(self.records, copy=False), mapper)

    def _drawing_masks(self, mapper: dict[str, Any]) -> dict[str, Any]:
        """The mapper, with bitmasks where a mask is run lengths: detectron2 makes no polygons of those."""
        objects = (annotation for record in self.records for annotation in record.get("annotations", ()))
        runs = uses_masks({"mapper": mapper}) and any(
            isinstance(annotation.get("segmentation"), dict) and not annotation.get("iscrowd") for annotation in objects
        )
        if not runs or mapper.get("instance_mask_format") == "bitmask":
            return mapper
        logger.info("some masks are run lengths: all train as bitmasks (instance_mask_format)")
        return mapper | {"instance_mask_format": "bitmask"}

    def _is_ours(self) -> bool:
        return target_of(self.node) in (train_loader, build_detection_train_loader) and set(self.node) <= _READ

    def batches(self, start: int = 0, *, total_batch_size: int | None = None, alone: bool = False) -> Iterable[Records]:
        """Endless batches of this process.

        Args:
            start: iterations that were done before.
            total_batch_size: over all processes; default the config's.
            alone: as if this were the only process, and without workers: for a look at the data.
        """
        if self.items is None:
            return config.instantiate(self.node, "dataloader.train")
        return _stream(
            self.items,
            total_batch_size=total_batch_size or self.node["total_batch_size"],
            seed=self.seed,
            start_iteration=start,
            rank=0 if alone else comm.get_rank(),
            world_size=1 if alone else comm.get_world_size(),
            groups=_groups(self.records) if self.node.get("aspect_ratio_grouping", True) else None,
            num_workers=0 if alone else self.node.get("num_workers", 0),
        )


def train_loader(
    dataset: Records,
    *,
    mapper: Any,
    total_batch_size: int,
    num_workers: int = 0,
    aspect_ratio_grouping: bool = True,
    seed: int = 0,
) -> DataLoader:
    """The endless batches of one process, as detectron2's `build_detection_train_loader` gives them; it has a seed.

    Args:
        dataset: records.
        mapper: makes of a record what the model takes.
        total_batch_size: over all processes.
        num_workers: processes that load.
        aspect_ratio_grouping: whether a batch has wide images alone, or others alone.
        seed: of the order and of the augmentation.
    """
    return _stream(
        MapDataset(DatasetFromList(dataset, copy=False), Reading(mapper)),
        total_batch_size=total_batch_size,
        seed=seed,
        rank=comm.get_rank(),
        world_size=comm.get_world_size(),
        groups=_groups(dataset) if aspect_ratio_grouping else None,
        num_workers=num_workers,
    )


def _stream(items: Dataset, *, num_workers: int, seed: int, **order: Any) -> DataLoader:
    return DataLoader(
        Stream(items, seed),
        batch_sampler=StreamSampler(len(items), seed=seed, **order),  # type: ignore[arg-type]
        num_workers=num_workers,
        collate_fn=trivial_batch_collator,
        persistent_workers=num_workers > 0,
    )


def _groups(records: Records) -> list[int]:
    """detectron2's two groups: wide images, and all others."""
    return [0 if record["width"] > record["height"] else 1 for record in records]


def test_loader(node: Any, *, masks: bool = False) -> tuple[Iterable[Records], Records]:
    """The batches of `dataloader.test`, this process's share of them, and the records of all images."""
    records = open_data(node.dataset, "dataloader.test.dataset", masks=masks)
    call = config.plain(node)
    call["mapper"] = Reading.of(call["mapper"], "dataloader.test.mapper")
    call["dataset"] = DatasetFromList(records, copy=False)
    return config.instantiate(call, "dataloader.test"), records


def uses_masks(node: Any) -> bool:
    """Whether the mapper of a loader's node asks for masks."""
    mapper = node.get("mapper") or {}
    return bool(mapper.get("use_instance_mask")) if hasattr(mapper, "get") else False


def has_objects(records: Records) -> bool:
    """Whether there is a box that is none of a crowd."""
    return any(not box.get("iscrowd", 0) for record in records for box in record.get("annotations", ()))


def names_of(node: Any) -> list[str]:
    """Names of the registered data sets of a `dataset` node: ours have `name`, detectron2's `names`."""
    names = node.get("names", node.get("name"))
    return [names] if isinstance(names, str) else list(names or [])


def refuse_shared_names(dataloader: Any) -> None:
    """Refuse splits of ours for training and for evaluation that have one name: the second would take its place.

    Raises:
        UserError: they have, and are not the same.
    """
    train, test = (config.plain(dataloader[split].get("dataset")) or {} for split in ("train", "test"))
    if "name" in train and train["name"] == test.get("name") and train != test:
        raise UserError(
            f"dataloader.train.dataset and dataloader.test.dataset are both called {train['name']!r}, and are not the "
            f"same data: give each its own name"
        )


def categories_of(node: Any) -> list[str]:
    """Names of the classes of an opened `dataset` node; none where nobody said them."""
    names = names_of(node)
    return list(MetadataCatalog.get(names[0]).get("thing_classes", [])) if names else []


def open_data(node: Any, key: str, *, masks: bool = False) -> Records:
    """The records of a `dataset` node, without the boxes that detectron2 would drop without a word; says how many.

    Args:
        node: a call of `get_detection_dataset_dicts`, of a split of ours, or of anything that returns records.
        key: of the config.
        masks: whether a split of ours must have a mask for every object.

    Raises:
        UserError: a data set is not registered, its files are missing, or it has no images.
    """
    names = names_of(node)
    if masks and target_of(node) in (coco_split, shapes_split):
        node = {"masks": True} | config.plain(node)
    if "names" in node:
        for name in names:
            require_registered(name, key)
    try:
        records = config.instantiate(node, key)
    except FileNotFoundError as error:
        where = "; set the environment variable DETECTRON2_DATASETS to where it lies" if "names" in node else ""
        raise UserError(f"{key}: data set {', '.join(names)} is not there ({error}){where}") from error
    if isinstance(records, list) and not any(MetadataCatalog.get(name).get("truth") for name in names):
        _drop_bad_boxes(records, categories_of(node), ", ".join(names) or key)
    return records


def target_of(node: Any) -> Any:
    """What a node calls; None where that cannot be found."""
    target = node.get("_target_")
    return locate(target) if isinstance(target, str) else target


def require_registered(name: str, key: str) -> None:
    """Refuse a name that detectron2 does not know.

    Raises:
        UserError: with the nearest name.
    """
    registered = DatasetCatalog.list()
    if name not in registered:
        near = difflib.get_close_matches(name, registered, n=1)
        hint = f"did you mean {near[0]!r}, or " if near else ""
        raise UserError(
            f"{key}: data set {name!r} is not registered with detectron2; {hint}open it with coco_split or voc_split "
            f"of sampling_free.detectron2.train.splits?"
        )


def _drop_bad_boxes(records: Records, categories: Sequence[str], source: str) -> None:
    """Check the boxes of detectron2's own data sets as those of an annotation file; in place."""
    annotations = [
        _coco_annotation(number, index, annotation, record["file_name"])
        for index, record in enumerate(records)
        for number, annotation in enumerate(record.get("annotations", ()))
    ]
    for number, annotation in enumerate(annotations):
        annotation["number"] = number
    most = max((annotation["category_id"] for annotation in annotations), default=0) + 1
    content = {
        "images": [{"id": index} | _size(record) for index, record in enumerate(records)],
        "annotations": annotations,
        "categories": [{"id": i, "name": str(i)} for i in range(len(categories) or most)],
    }
    if not all("height" in image for image in content["images"]):
        return  # nothing says how large the images are
    checked = check_annotations(content, source=source)
    kept = {annotation["number"] for annotation in checked.coco["annotations"]}
    identity = 0
    for record in records:
        if "annotations" in record:
            numbers = range(identity, identity + len(record["annotations"]))
            pairs = zip(numbers, record["annotations"], strict=True)
            record["annotations"] = [annotation for number, annotation in pairs if number in kept]
            identity = numbers.stop
    logger.info("data set %s: %s", source, _without_classes(checked.summary))


def _size(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in ("file_name", "height", "width") if key in record}


def _coco_annotation(number: int, image: int, annotation: Mapping[str, Any], file_name: str) -> dict[str, Any]:
    box = BoxMode.convert(list(map(float, annotation["bbox"])), annotation["bbox_mode"], BoxMode.XYWH_ABS)
    return {
        "image_id": image,
        "category_id": annotation["category_id"],
        "bbox": [float(value) for value in box],
        "source": f"annotation {number} of image {file_name}",
    }


def _without_classes(summary: str) -> str:
    """A summary without its counts by class, which are numbers here."""
    before, _, rest = summary.partition(" boxes (")
    return f"{before} boxes{rest.partition(')')[2]}"
