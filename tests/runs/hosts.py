"""Both hosts' small runs, by the host's name."""

import pytest

from tests.torchvision import runs as torchvision

HOSTS = ["torchvision", "detectron2"]


def host_of(name):
    if name == "torchvision":
        return torchvision
    pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")
    from tests.detectron2 import runs

    return runs
