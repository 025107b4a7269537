"""A bounded run of `make fuzz`: no traceback, no hang, no more than 2 GB, nothing dropped uncounted."""

import re
import subprocess
import sys

import pytest

CASES = 200


@pytest.mark.parametrize("kind", ["coco", "voc", "pictures"])
def test_damaged_files_are_read_or_refused_in_a_sentence(kind):
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz", str(CASES), kind], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    read, refused = map(int, re.fullmatch(rf"{kind}: (\d+) read, (\d+) refused\n", done.stdout).groups())
    assert read + refused == CASES and min(read, refused) > CASES / 10
