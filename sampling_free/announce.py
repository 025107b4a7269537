"""Sentences that a user should see whether or not logging was set up."""

import logging
import sys

from tqdm import tqdm


def announce(logger: logging.Logger, sentence: str) -> None:
    """Log a sentence; where nobody set up logging, write it to stderr, beside a progress bar if there is one."""
    if logger.hasHandlers():
        logger.info("%s", sentence)
    else:
        tqdm.write(sentence, file=sys.stderr)
