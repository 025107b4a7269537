import pytest
import torch

from sampling_free.mechanism import fused


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        for item in items:
            if "tests/gpu" in item.path.as_posix():
                item.add_marker(pytest.mark.skip(reason="no GPU: `make test-gpu` on a machine that has one"))


@pytest.fixture(autouse=True)
def kernels_that_work():
    """No test passes because torch's operators stood in for a kernel that failed."""
    yield
    assert not fused.broken
