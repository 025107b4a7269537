"""Remarks of Lightning's that do not concern a user of a config."""

import logging
import warnings


def quiet() -> None:
    """Lightning's remarks that do not concern a user of a config."""
    for name in ("lightning.pytorch", "lightning.fabric", "faster_coco_eval"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*LeafSpec.*",
        ".*sync_dist.*",
    ):
        warnings.filterwarnings("ignore", message=message)
