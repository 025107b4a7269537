"""What detectron2's evaluator of VOC cannot read, found before a run and not after its last iteration."""

from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog
from detectron2.evaluation.pascal_voc_evaluation import parse_rec

from sampling_free.errors import UserError

_INSTEAD = "let detectron2.evaluation.COCOEvaluator evaluate (dataloader.evaluator._target_)"


def check_voc(evaluator: Any) -> None:
    """Read what a `PascalVOCDetectionEvaluator` reads in the end, in its own way.

    Raises:
        UserError: it cannot, or it would count objects of images that are not evaluated.
    """
    listed = Path(evaluator._image_set_path)
    lines = [line.strip() for line in listed.read_text(encoding="utf-8", errors="replace").splitlines()]
    opened = {str(record["image_id"]) for record in DatasetCatalog.get(evaluator._dataset_name)}
    strange = [line for line in lines if line not in opened or " " in line]
    if strange or len(lines) != len(opened):
        named = f"line {strange[0]!r}" if strange else f"{len(lines) - len(opened)} lines"
        raise UserError(
            f"{named} of {listed} is no name of an evaluated image as detectron2's VOC evaluator reads it; mend the "
            f"list, or {_INSTEAD}"
        )
    for line in lines:
        file = evaluator._anno_file_template.format(line)
        try:
            parse_rec(file)
        except Exception as error:  # whatever its plain reading raises
            raise UserError(
                f"detectron2's VOC evaluator cannot read {file} ({type(error).__name__}: {error}): it wants whole "
                f"numbers, pose, truncated and difficult of every object; mend the file, or {_INSTEAD}"
            ) from error
    odd = [name for name in evaluator._class_names if "/" in name]
    if odd:
        raise UserError(
            f"detectron2's VOC evaluator cannot take class {odd[0]!r}, for files are named after it; {_INSTEAD}"
        )
