"""A process that is killed ends a run in a sentence, on both hosts."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.runs.hosts import HOSTS, host_of

ENDLESS = ["train.max_iter=3000", "train.eval_period=0", "train.prior=0.01"]

pytestmark = pytest.mark.filterwarnings("default")  # of the hosts' libraries


def trains(folder):
    log = folder / "run" / "metrics.csv"
    return log.is_file() and len(log.read_text().splitlines()) > 2


def children(process):
    """Numbers of the processes that train for one that was started."""
    started = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [
        int(child)
        for child in started
        if b"multiprocessing.resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def is_alive(process):
    state = Path(f"/proc/{process}/stat")
    return state.is_file() and state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the processes of a run in Linux's /proc")
@pytest.mark.parametrize("name", HOSTS)
def test_a_killed_process_ends_the_others_in_a_sentence(tmp_path, name):
    host = host_of(name)
    process = host.start(host.arguments(tmp_path, *ENDLESS, options=["--num-gpus", "2"]))
    while not trains(tmp_path):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    started = children(process.pid)  # on torchvision the second process alone, on detectron2 both
    os.kill(started[-1], signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert (
        said.splitlines()[-1].startswith("error: another process of this run ended early") and "Traceback" not in said
    )
    assert not [child for child in started if is_alive(child)]
