"""A clean room for each test: it starts from the same random state, and leaves it and the environment as found."""

import logging
import os
import random

# One thread for each test worker and each process that a test starts: several that spin for the same cores are far
# slower. Set before torch reads it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
import torch
from hypothesis import register_random, settings


class TorchRandom:
    """torch's generator as hypothesis wants it, so that an example that failed fails again."""

    seed = staticmethod(torch.manual_seed)
    getstate = staticmethod(torch.get_rng_state)
    setstate = staticmethod(torch.set_rng_state)


TORCH_RANDOM = TorchRandom()  # hypothesis holds it by a weak reference
register_random(TORCH_RANDOM)
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
torch.set_num_threads(1)  # the order of a sum depends on how many


@pytest.fixture(autouse=True)
def clean_room():
    environment, deterministic = dict(os.environ), torch.are_deterministic_algorithms_enabled()
    states = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(0)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(0)
        yield
    torch.use_deterministic_algorithms(deterministic)
    random.setstate(states[0])
    np.random.set_state(states[1])
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)


@pytest.fixture(autouse=True)
def loggers():
    """A run in the test's process adds handlers for the standard output of the moment, which ends with the test."""
    hosts = [logging.getLogger(name) for name in ("detectron2", "fvcore")]
    before = [logger.handlers[:] for logger in hosts]
    yield
    for logger, handlers in zip(hosts, before, strict=True):
        logger.handlers[:] = handlers
