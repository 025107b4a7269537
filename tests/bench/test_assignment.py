import pytest
import torch

from tools.bench import assignment
from tools.bench.assignment import assignment_cases


@pytest.fixture(scope="module")
def cases():
    return assignment_cases()


@pytest.mark.parametrize("name", ["ATSS", "PAA", "FoveaBox", "YOLOv3"])
def test_case_is_one_large_image_whose_boxes_are_found(cases, name):
    matches = cases[name]()
    assert len(matches) == (3 * 22_050 if name == "YOLOv3" else 22_400)
    assert len(matches[matches >= 0].unique()) > 40


def test_race_runs_whole_and_leaves_the_threads_as_they_were():
    threads = torch.get_num_threads()
    (race,) = (race.run() for race in assignment.races(quick=True))
    assert [goal.value > 0 for goal in assignment.goals(race)] == [True] * 4
    assert torch.get_num_threads() == threads
