import torch

from tools.bench import losses, measuring, samplers
from tools.bench.measuring import Contestant, Goal, Race, goals_table


def test_every_contestant_runs_equally_often_and_ratios_are_of_medians():
    calls = []
    one, other = (Contestant(name, lambda name=name: calls.append(name)) for name in ("one", "other"))
    race = Race("title", [one, other], rounds=3).run()
    assert calls == ["one", "one", "other", "other"] + ["one", "other"] * 3
    one.seconds, other.seconds = [1.0, 9.0, 2.0], [4.0, 4.0, 4.0]
    assert race.time_ratio(1, 0) == 2.0
    assert "### title" in race.table() and "| other | 4000.0 (4000.0 to 4000.0) | 2.00 |" in race.table()


def test_peak_memory_is_what_is_alive_at_once():
    def two_after_one_another():
        for _ in range(2):
            torch.ones(2**20)  # 4 MB, released before the next

    def two_at_once():
        return torch.ones(2**20) + torch.ones(2**20)

    race = Race("memory", [Contestant("a", two_after_one_another), Contestant("b", two_at_once)], rounds=2).run()
    assert 3.9 < race.contestants[0].peak_mb < 4.5
    assert 11.9 < race.contestants[1].peak_mb < 12.5
    assert race.memory_ratio(1, 0) > 2.6


def test_goals_say_what_was_missed():
    table = goals_table([Goal("a", 0.9, 1.0), Goal("b", 0.9, 1.0, at_least=True), Goal("c", 1.004, 1.0)])
    assert "| a | 0.90 | at most 1.0 | reached |" in table
    assert "| b | 0.90 | at least 1.0 | missed |" in table
    assert "| c | 1.00 | at most 1.0 | reached |" in table, "a goal is compared as precisely as it is printed"


def test_losses_race_over_the_sizes_of_the_papers():
    big = losses.races()
    assert "201,600 anchors x 80" in big[0].title
    assert "268,569 anchors x 1" in big[1].title


def test_losses_race_runs_whole():
    race, rpn = (race.run() for race in losses.races(quick=True))
    assert len(losses.goals(race)) == (1 if measuring.DEVICE == "cuda" else 4)
    assert all(contestant.median > 0 for contestant in [*race.contestants, *rpn.contestants])


def test_samplers_race_runs_whole():
    assert [race.title.split(":")[0] for race in samplers.races()][:2] == ["Choosing anchors", "Choosing proposals"]
    anchors, proposals, boxes = (race.run() for race in samplers.races(quick=True))
    assert [len(race.contestants) for race in (anchors, proposals, boxes)] == [4, 5, 2]
