"""Remarks of detectron2's that do not concern a user of a config."""

import logging

from sampling_free.errors import DivergedError, UserError


def quiet() -> None:
    """Remarks that do not concern a user of a config."""
    logging.getLogger("detectron2.engine.train_loop").addFilter(_is_unexpected)
    logging.getLogger("detectron2.data.build").addFilter(_is_of_dropped_images)
    for name in ("detectron2.data.common", "detectron2.evaluation.evaluator"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_unexpected(record: logging.LogRecord) -> bool:
    """Whether a record of detectron2's about an exception tells more than a sentence that is said anyway."""
    return record.exc_info is None or not isinstance(record.exc_info[1], UserError | DivergedError)


def _is_of_dropped_images(record: logging.LogRecord) -> bool:
    """Whether a record of detectron2's loading says that images were left out, or warns."""
    return record.levelno > logging.INFO or record.getMessage().startswith("Removed")
