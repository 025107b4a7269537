"""The fitted threshold and the user's: who says a number gets it."""

import copy

import pytest
import torch
from torch import nn

from sampling_free.mechanism.threshold import add_fitted_threshold


class Detector(nn.Module):
    def __init__(self, score_thresh=0.05):
        super().__init__()
        self.score_thresh = score_thresh
        add_fitted_threshold(self, "score_thresh", (0.05, 0.2))


def test_who_says_nothing_gets_the_fitted_threshold_and_each_later_one():
    detector = Detector()
    for value in (0.25, 0.125):
        detector.fitted_threshold.offer(detector, value)
        assert detector.score_thresh == value


@pytest.mark.parametrize("when", ["built", "assigned", "assigned after fitting"])
def test_the_user_s_number_stays(when):
    detector = Detector(0.5) if when == "built" else Detector()
    if when == "assigned after fitting":
        detector.fitted_threshold.offer(detector, 0.25)
    detector.score_thresh = 0.5
    detector.fitted_threshold.offer(detector, 0.125)
    assert detector.score_thresh == 0.5 and detector.fitted_threshold.value == 0.125


def test_a_checkpoint_brings_the_fitted_threshold_to_who_says_nothing():
    trained = Detector()
    trained.fitted_threshold.offer(trained, 0.25)
    silent, speaking = nn.Sequential(Detector()), nn.Sequential(Detector(0.5))
    for model in (silent, speaking):
        model.load_state_dict(nn.Sequential(trained).state_dict())
    assert (silent[0].score_thresh, speaking[0].score_thresh) == (0.25, 0.5)
    assert copy.deepcopy(silent)[0].score_thresh == 0.25


def test_a_checkpoint_of_version_0_1_loads():
    detector = Detector()
    detector.load_state_dict({"score_thresh": torch.tensor(0.25)})
    assert detector.score_thresh == 0.25


def test_an_unfitted_checkpoint_changes_nothing():
    detector = Detector()
    detector.load_state_dict(Detector().state_dict())
    assert detector.score_thresh == 0.05


def test_a_fitted_value_follows_what_training_finds_and_an_unfitted_one_does_not():
    detector = Detector()
    detector.fitted_threshold.follow(torch.tensor(0.1))
    detector.fitted_threshold.offer(detector)
    assert detector.score_thresh == 0.05
    detector.fitted_threshold.offer(detector, 0.5)
    for _ in range(1000):
        detector.fitted_threshold.follow(torch.tensor(0.1))
    detector.fitted_threshold.offer(detector)
    assert detector.score_thresh == pytest.approx(0.1, rel=1e-2)
