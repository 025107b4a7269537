import pytest

from sampling_free.detectors.assignment_bench import GOALS, assignment_cases


@pytest.fixture(scope="module")
def cases():
    return assignment_cases()


@pytest.mark.parametrize("name", GOALS)
def test_case_is_one_large_image_whose_boxes_are_found(cases, name):
    matches = cases[name]()
    assert len(matches) == (3 * 22_050 if name == "YOLOv3" else 22_400)
    assert len(matches[matches >= 0].unique()) > 40
