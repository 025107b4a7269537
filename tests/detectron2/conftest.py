"""Runs in the process of a test leave nothing behind that speaks in the next one."""

import logging

import pytest


@pytest.fixture(autouse=True)
def loggers():
    """Each run adds a handler for the output of the moment, which is closed when its test ends."""
    logger = logging.getLogger("detectron2")
    before = logger.handlers[:]
    yield
    logger.handlers[:] = before
