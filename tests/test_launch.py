"""Processes and machines, in the words of a command line."""

import pytest

from sampling_free.errors import UserError
from sampling_free.runs.launch import Launch


def test_processes_are_those_of_all_machines():
    launch = Launch(num_gpus=4, num_machines=2, machine_rank=1, dist_url="tcp://10.0.0.1:29500")
    assert launch.processes == 8 and launch.address == ("10.0.0.1", 29500)
    assert Launch(num_gpus=0).processes == 1 and Launch().address is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_gpus": -1}, "--num-gpus -1 .* does not name processes"),
        ({"num_machines": 2, "machine_rank": 2, "dist_url": "tcp://a:1"}, "--machine-rank 2 does not name processes"),
        ({"num_machines": 2}, "several machines need --dist-url tcp://HOST:PORT of machine 0"),
        ({"num_machines": 2, "dist_url": "a:1"}, "--dist-url must be 'auto' or tcp://HOST:PORT, not 'a:1'"),
        ({"num_machines": 2, "dist_url": "tcp://a"}, "--dist-url must be 'auto' or tcp://HOST:PORT, not 'tcp://a'"),
    ],
)
def test_options_that_make_no_sense_are_one_sentence(options, words):
    with pytest.raises(UserError, match=words):
        Launch(**options)
