"""How a data set lies on the disk, found out by looking: COCO files, VOC's layout, or YOLO's text files.

Every layout is read into COCO's content, one a split, so that what follows knows one format.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampling_free.data.coco_folder import read_coco_folder
from sampling_free.data.voc_folder import read_voc_folder
from sampling_free.data.yolo_folder import read_yolo_folder
from sampling_free.errors import UserError

logger = logging.getLogger(__name__)

Content = dict[str, list[dict[str, Any]]]  # of a COCO file; file names are relative to the data set's root
Read = Callable[[Path], tuple[str, dict[str, Content]] | None]

_READERS: dict[str, Read] = {"coco": read_coco_folder, "voc": read_voc_folder, "yolo": read_yolo_folder}
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "trainval": "trainval"}


@dataclass(frozen=True)
class DataSet:
    """A data set that was found.

    Attributes:
        root: the folder that file names are relative to.
        sentence: what it is, for the user.
        splits: content of "train", and of "val" and "test" where there are such; "train" alone where nothing is split.
    """

    root: Path
    sentence: str
    splits: dict[str, Content]

    @property
    def names(self) -> list[str]:
        """The classes, in the order of their ids."""
        return [category["name"] for category in self.splits["train"]["categories"]]


def find(path: str | Path, layout: str | None = None) -> DataSet:
    """Look what lies at a path, and read its annotations.

    Args:
        path: a folder, a COCO file or a YOLO data.yaml.
        layout: "coco", "voc" or "yolo" where several lie side by side; default the first of these that is there.

    Raises:
        UserError: nothing is there that can be read, or its splits differ in their classes.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise UserError(f"there is no data set at {path}")
    if layout is not None and layout not in _READERS:
        raise UserError(f"--layout is {', '.join(_READERS)}, not {layout!r}")
    for name in [layout] if layout else _READERS:
        found = _READERS[name](path)
        if found is not None:
            return _data_set(path, *found)
    wanted = f"no {layout} layout" if layout else "nothing that can be read"
    raise UserError(
        f"{path} holds {wanted}; a data set is COCO (a json file with images, annotations and categories, and the "
        f"images), VOC (Annotations/*.xml, JPEGImages/, ImageSets/Main/*.txt) or YOLO (data.yaml or classes.txt, "
        f"images/ and labels/)"
    )


def _data_set(path: Path, kind: str, parts: dict[str, Content]) -> DataSet:
    files = [os.path.abspath(image["file_name"]) for content in parts.values() for image in content["images"]]
    root = Path(os.path.commonpath([os.path.abspath(path if path.is_dir() else path.parent), *files]))
    splits: dict[str, Content] = {}
    for name, content in parts.items():
        splits.setdefault(_SPLITS.get(name, name), content)
    if "train" not in splits:
        whole = [name for name in splits if name in ("trainval", "all") or len(splits) == 1]
        if not whole:
            raise UserError(f"{path} has no split to train on; it has {', '.join(splits)}")
        splits["train"] = splits.pop(whole[0])
    splits = {name: splits[name] for name in ("train", "val", "test") if name in splits}
    _drop_umbrella(splits)
    _check_classes(path, splits)
    for content in splits.values():
        for image in content["images"]:
            image["file_name"] = os.path.relpath(image["file_name"], root)
    counts = ", ".join(f"{len(content['images'])} images to {_USES[name]}" for name, content in splits.items())
    return DataSet(root, f"{path} is a data set in {kind}: {counts}", splits)


_USES = {"train": "train on", "val": "evaluate on", "test": "test on"}


def _drop_umbrella(splits: dict[str, Content]) -> None:
    """Drop the category 0 of Roboflow's files, which stands above the others and which no object has; in place."""
    for content in splits.values():
        if any(annotation.get("category_id") == 0 for annotation in content["annotations"]):
            return
    for content in splits.values():
        rest = [category for category in content["categories"] if category.get("id") != 0]
        umbrella = [category for category in content["categories"] if category.get("id") == 0]
        if umbrella and rest and all(category.get("supercategory") == umbrella[0].get("name") for category in rest):
            content["categories"] = rest


def _check_classes(path: Path, splits: dict[str, Content]) -> None:
    def classes(content: Content) -> list[tuple[Any, Any]]:
        return sorted(((c.get("id"), c.get("name")) for c in content["categories"]), key=str)

    for name, content in splits.items():
        if classes(content) != classes(splits["train"]):
            mine, others = ({c[1] for c in classes(part)} for part in (content, splits["train"]))
            differing = ", ".join(sorted(map(str, mine ^ others))) or "the order of ids"
            raise UserError(f"{path}: the splits train and {name} differ in their classes: {differing}")
