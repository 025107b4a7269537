"""Remarks of detectron2's that do not concern a user of a config."""

import logging


def quiet() -> None:
    """Remarks that do not concern a user of a config."""
    logging.getLogger("detectron2.engine.train_loop").addFilter(_is_no_exception)
    logging.getLogger("detectron2.data.build").addFilter(_is_of_dropped_images)
    for name in ("detectron2.data.common", "detectron2.evaluation.evaluator"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_no_exception(record: logging.LogRecord) -> bool:
    """Whether a record of detectron2's tells of no exception: one goes on to whoever called, and is told there."""
    return record.exc_info is None


def _is_of_dropped_images(record: logging.LogRecord) -> bool:
    """Whether a record of detectron2's loading says that images were left out, or warns."""
    return record.levelno > logging.INFO or record.getMessage().startswith("Removed")
