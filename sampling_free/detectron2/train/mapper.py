"""detectron2's mapper on our reader of images, and a mapper that says which image it cannot use."""

import copy
from typing import Any

import detectron2.data.transforms as T
import numpy as np
import torch
from detectron2.data import DatasetMapper
from detectron2.data import detection_utils as utils
from detectron2.data.detection_utils import SizeMismatchError
from detectron2.utils.registry import locate
from PIL import Image

from sampling_free import config
from sampling_free.data import read_image
from sampling_free.errors import UserError


class Mapper(DatasetMapper):
    """detectron2's `DatasetMapper`, whose images are read as everywhere here: 16 bits and floats scaled, for one."""

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """The record of one image, in the form of detectron2's mapper."""
        record = copy.deepcopy(dataset_dict)
        image = utils.convert_PIL_to_numpy(Image.fromarray(read_image(record["file_name"])), self.image_format)
        utils.check_image_size(record, image)
        semantic = record.pop("sem_seg_file_name", None)
        semantic = None if semantic is None else utils.read_image(semantic, "L").squeeze(2)
        given = T.AugInput(image, sem_seg=semantic)
        transforms = self.augmentations(given)
        size = given.image.shape[:2]
        record["image"] = torch.as_tensor(np.ascontiguousarray(given.image.transpose(2, 0, 1)))
        if given.sem_seg is not None:
            record["sem_seg"] = torch.as_tensor(given.sem_seg.astype("long"))
        if self.proposal_topk is not None:
            utils.transform_proposals(record, size, transforms, proposal_topk=self.proposal_topk)
        if not self.is_train:
            record.pop("annotations", None)
        elif "annotations" in record:
            self._transform_annotations(record, transforms, size)
        return record


class Reading:
    """A mapper that says which image it cannot use.

    Args:
        mapper: of the config.
    """

    def __init__(self, mapper: Any) -> None:
        self.mapper = mapper

    @classmethod
    def of(cls, node: dict[str, Any], key: str) -> "Reading":
        """The mapper of a config, detectron2's own in the form of this file.

        Args:
            node: its call, plain.
            key: of the config.
        """
        target = node["_target_"]
        target = locate(target) if isinstance(target, str) else target
        return cls(config.instantiate(node | ({"_target_": Mapper} if target is DatasetMapper else {}), key))

    def __call__(self, record: dict[str, Any]) -> Any:
        """What the mapper makes of a record.

        Raises:
            UserError: the image cannot be read, has another size than its annotation says, or is too narrow to be
                scaled; it names the file.
        """
        try:
            return self.mapper(record)
        except SizeMismatchError as error:
            words = " ".join(str(error).split())
            raise UserError(f"image {record['file_name']}: {words}; mend the annotation file") from error
        except (OSError, SyntaxError) as error:
            raise UserError(
                f"image {record['file_name']} cannot be read ({error}); replace the file or remove its annotation"
            ) from error
        except ValueError as error:
            if "must be > 0" not in str(error):  # Pillow's, of a picture without a row or column
                raise
            raise UserError(
                f"image {record['file_name']} of {record.get('width')} x {record.get('height')} pixels is scaled to "
                f"nothing; remove it from the annotations, or scale images less"
            ) from error
