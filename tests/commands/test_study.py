"""A study: real tiny runs that stop and go on, and the arithmetic of its table."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sampling_free.commands.study import Job, Study, _portable, command, run
from sampling_free.commands.study_table import markdown, paired_half_width
from sampling_free.data import generate_shapes
from sampling_free.data.holdout import split_images
from sampling_free.data.shapes import ShapesSettings
from sampling_free.errors import UserError

ROOT = Path(__file__).parents[2]


def write_study(folder, **changes):
    data = generate_shapes(folder / "data", ShapesSettings(num_train=10, num_val=4, size=64))
    overrides = [f"dataloader.{split}.dataset.root={data}" for split in ("train", "test")]
    overrides += [
        f"+dataloader.{split}.dataset.settings={{num_train: 10, num_val: 4, size: 64}}" for split in ("train", "test")
    ]
    overrides += ["dataloader.train.total_batch_size=2", "dataloader.train.num_workers=0", "train.log_period=1"]
    config = ROOT / "configs" / "torchvision" / "retinanet.py:shapes_baseline"
    settings = dict(
        rates=[0.001, 0.002],
        tune=["train.max_iter=1"],
        holdout=0.3,
        seeds=2,
        overrides=[*overrides, "model.weights_backbone=null", "train.max_iter=2"],
        rows={"RetinaNet, Focal Loss": dict(config=str(config))},
    )
    (folder / "study.py").write_text(f"study = {settings | changes!r}\n")
    return folder / "study.py"


def test_a_study_stops_and_goes_on_and_chooses_rates_on_held_out_images(tmp_path, capsys):
    study = Study(write_study(tmp_path), tmp_path / "results")
    run(study, tmp_path / "work", processes=1, deadline=0.0)
    assert not list((tmp_path / "results").glob("*.json"))
    # as if the short runs had ended, the second rate ahead
    (row,) = study.rows
    for number, score in enumerate((1.0, 2.0)):
        found = {"diverged": False, "metrics": {"bbox/AP": score}}
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / "results" / f"{row.slug}-tune{number}.json").write_text(json.dumps(found))
    assert study.rate(row) == 0.002
    run(study, tmp_path / "work", processes=2)
    found = [study.result(Job(row, "seed", seed)) for seed in (0, 1)]
    assert [result["seed"] for result in found] == [0, 1]
    assert all(result["rate"] == 0.002 and result["iterations"] == 2 for result in found)
    assert {"torch", "torchvision"} <= set(found[0]["versions"])
    written = (tmp_path / "results" / f"{row.slug}-seed0.json").stat().st_mtime_ns
    run(study, tmp_path / "work", processes=1)  # nothing is left to do
    assert (tmp_path / "results" / f"{row.slug}-seed0.json").stat().st_mtime_ns == written
    folders = [tmp_path / "study.py", "--output", tmp_path / "results", "--work", tmp_path / "work", "--table"]
    assert command([str(word) for word in (*folders, "--pictures", tmp_path / "pictures")]) == 0
    drawn = {file.name for file in (tmp_path / "pictures").iterdir()}
    assert drawn == {"losses.png", "precision_recall.png", "detections.jpg"}
    assert str(tmp_path / "pictures" / "losses.png") in capsys.readouterr().out


def test_short_runs_never_see_the_validation_images(tmp_path):
    of_coco = ["+dataloader.train.dataset.annotations=annotations/instances_train.json"]
    of_coco += ["+dataloader.train.dataset.images=train", f"dataloader.train.dataset.root={tmp_path}/data"]
    study = Study(write_study(tmp_path, overrides=of_coco), tmp_path / "results")
    (row,) = study.rows
    chosen = [text for text in study.overrides(Job(row, "tune", 0), tmp_path / "work") if "annotations=/" in text]
    files = [Path(text.partition("=")[2]) for text in chosen]
    fit, held = ({image["id"] for image in json.loads(file.read_text())["images"]} for file in files)
    train = json.loads((tmp_path / "data" / "annotations" / "instances_train.json").read_text())
    kept = _portable(study.overrides(Job(row, "tune", 0), tmp_path / "work"), study.output)
    assert "dataloader.train.dataset.annotations=split/instances_train_fit.json" in kept
    assert not any("output_dir" in text for text in kept)
    assert fit | held == {image["id"] for image in train["images"]} and not fit & held and len(held) == 3


def test_a_row_whose_rate_is_not_known_waits(tmp_path):
    study = Study(write_study(tmp_path), tmp_path / "results")
    tune, full = Job(study.rows[0], "tune", 0), Job(study.rows[0], "seed", 0)
    assert study.ready(tune) and not study.ready(full)
    assert [job.kind for job in study.jobs()] == ["tune", "tune", "seed", "seed"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("x = 1\n", "must define `study`"), ("study = dict(rows={}, rates=[1])\n", "must define `study`")],
)
def test_what_is_no_study_is_said(tmp_path, content, sentence):
    (tmp_path / "study.py").write_text(content)
    with pytest.raises(UserError, match=sentence):
        Study(tmp_path / "study.py", tmp_path)


def result(seed, score, **changes):
    base = {"seed": seed, "rate": 0.01, "diverged": False, "metrics": {"bbox/AP": score}}
    return base | {"seconds_per_iteration": 0.5, "peak_memory_mb": 10} | changes


def test_the_table_pairs_by_seed():
    rows = {
        "R, own": [result(0, 10.0), result(1, 12.0), result(2, 11.0)],
        "R, ours": [result(0, 11.0), result(1, 14.0), result(2, 12.0)],
        "R, gone": [result(0, 0.0, diverged=True)],
        "S, own": [],
    }
    lines = markdown(rows).splitlines()
    assert "| R, own | 0.01 | 11.0 ± 1.0 | 10.0, 12.0, 11.0 |  | 0.500 | 10 |" in lines
    low, high = stats.t.interval(0.95, 2, loc=4 / 3, scale=statistics.stdev([1, 2, 1]) / 3**0.5)
    assert f"| +1.3 ({low:+.1f} to {high:+.1f}) |" in lines[3]
    assert "| R, gone | 0.01 | diverged | diverged |" in lines[4]
    assert lines[5] == "| S, own | | not run | | | | |"


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=10))
def test_the_interval_is_student_s(differences):
    expected = stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)
    assert paired_half_width(differences) == pytest.approx(expected, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_that_leaves_nothing_is_refused(tmp_path, share):
    with pytest.raises(UserError, match="must lie between 0 and 1"):
        split_images(tmp_path / "x.json", tmp_path, share=share)


def test_the_command_writes_the_table_of_what_is_there(tmp_path):
    study = write_study(tmp_path)
    for number, score in enumerate((1.0, 23.45)):
        found = {"diverged": not number, "metrics": {"bbox/AP": score}}
        (tmp_path / f"retinanet-focal-loss-tune{number}.json").write_text(json.dumps(found))
    command = [sys.executable, "-m", "sampling_free.commands.study", str(study), "--output", str(tmp_path), "--table"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "| RetinaNet, Focal Loss | | not run |" in done.stdout, done.stderr
    done = subprocess.run([*command[:-1], "--rates"], capture_output=True, text=True, cwd=ROOT)
    table = "| rate | 0.001 | 0.002 |\n|---|---:|---:|\n| RetinaNet, Focal Loss | diverged | **23.4** |\n"
    assert table in done.stdout, done.stderr


def test_a_single_rate_is_not_tuned(tmp_path):
    study = Study(write_study(tmp_path, rates=[0.003]), tmp_path / "results")
    assert [job.kind for job in study.jobs()] == ["seed", "seed"]
    assert all(study.ready(job) and study.rate(job.row) == 0.003 for job in study.jobs())


def test_false_alarms_have_a_column_where_there_is_background():
    def alarms(seed, value=None):
        return result(seed, 10.0, metrics={"bbox/AP": 10.0} | ({} if value is None else {"bbox/false-alarms": value}))

    lines = markdown({"R, own": [alarms(0, 1.0), alarms(1, 2.0)], "R, ours": [alarms(0), alarms(1, 2.0)], "S, own": []})
    head, _, own, ours, absent = lines.splitlines()
    assert head.endswith("| MB | false alarms at 80 % recall |")
    assert own.endswith("| 10 | 1.50 ± 0.71 |") and ours.endswith("| 10 | – |") and absent.endswith("| |  |")
