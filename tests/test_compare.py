"""The command `sampling-free compare`, on an engine of a few lines and on torchvision's."""

import csv
import shlex
import statistics

import pytest
from PIL import Image

from sampling_free.commands import command_line, compare, table
from sampling_free.commands.compare import Row
from sampling_free.errors import UserError
from tests.torchvision import runs

ENGINE = """
import json
from pathlib import Path
from PIL import Image
from sampling_free import config
from sampling_free.errors import DivergedError
from sampling_free.pictures import Box, Example, write_examples

def train(cfg, *, resume=False, launch=None):
    folder = Path(cfg.train.output_dir)
    folder.mkdir(exist_ok=True)
    config.save(cfg, folder / "config.yaml")
    with (folder / "calls").open("a") as calls:
        calls.write("resume " if resume else "train ")
    if cfg.model.fails:
        raise RuntimeError("broken on purpose")
    result = {"iterations": cfg.model.steps, "seconds_per_iteration": 0.5, "peak_memory_mb": 100.0}
    diverged = cfg.model.diverges
    metrics = {} if diverged else {"bbox/AP": cfg.model.ap + cfg.train.seed, "bbox/AP50": 50.0}
    (folder / "result.json").write_text(json.dumps(result | {"diverged": diverged, "metrics": metrics}))
    (folder / "metrics.csv").write_text("step,classification,bbox_regression\\n1,2,1\\n2,1,1\\n")
    if diverged:
        raise DivergedError("not finite")
    image = Path(__file__).with_name("image.png")
    write_examples(folder / "examples.json", [Example(image, [], [Box((1, 1, 9, 9), "cat", 0.9)])])
    return metrics
"""
CONFIG = """
engine = "engine_of_a_test"
model = dict(ap=20.0, steps=7, diverges=False, fails=False, sizes=[1])
dataloader = optimizer = lr_multiplier = dict()
train = dict(output_dir="", seed=0)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "engine_of_a_test.py").write_text(ENGINE)
    (tmp_path / "config.py").write_text(CONFIG)
    Image.new("RGB", (32, 32)).save(tmp_path / "image.png")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compared_in(folder, *arguments):
    return command_line.run(compare.command, ["--output", str(folder), *arguments])


def compared(*arguments):
    return compared_in("out", *arguments)


def records(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_run_and_set_side_by_side(place, capfd):
    (place / "README.md").write_text("# Title\n<!-- table -->\nold\n<!-- /table -->\nend\n")
    rows = [
        "Plain=config.py",
        "Less wide=config.py,model.ap=10,model.sizes=[1,2]",
        "Wild=config.py,model.diverges=True",
    ]
    assert compared("--publish", "README.md", *rows, "--", "model.steps=9") == 0
    expected = (
        "|  | AP | AP50 | s/iteration | peak MB | iterations | diverged |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| Plain | **20.0** | **50.0** | 0.500 | 100 | 9 | no |\n"
        "| Less wide | 10.0 | **50.0** | 0.500 | 100 | 9 | no |\n"
        "| Wild | n/a | n/a | 0.500 | 100 | 9 | yes |\n"
    )
    out = place / "out"
    assert (out / "table.md").read_text() == expected
    said = capfd.readouterr().out
    assert expected in said and "Look at out/" in said and "out/detections.jpg" in said
    figures = records(out / "table.csv")
    assert figures[1] == {
        **{"name": "Less wide", "runs": "1", "diverged": "0", "AP": "10", "AP50": "50.0"},
        **{"s/iteration": "0.5", "peak MB": "100.0", "iterations": "9"},
    }
    assert figures[2]["AP"] == "" and figures[2]["diverged"] == "1"
    assert all((out / name).is_file() for name in ("losses.png", "precision_recall.png", "detections.jpg"))
    readme = (place / "README.md").read_text()
    assert readme.startswith("# Title\n<!-- table -->\n") and readme.endswith(expected + "\n<!-- /table -->\nend\n")
    command = readme.split("```")[1].removeprefix("bash\n")
    words = ["--output", "out", "--publish", "README.md", *rows, "--", "model.steps=9"]
    assert shlex.split(command.replace("\\\n", "")) == ["sampling-free", "compare", *words]


def test_several_seeds_give_mean_and_deviation(place):
    assert compared("--seeds", "0,3", "A=config.py") == 0
    (row,) = records(place / "out" / "table.csv")
    assert (row["runs"], float(row["AP"]), float(row["AP std"])) == (
        "2",
        21.5,
        pytest.approx(statistics.stdev([20, 23])),
    )
    assert "| A | 21.5 ± 2.1 | 50.0 ± 0.0 |" in (place / "out" / "table.md").read_text()
    assert sorted(path.name for path in (place / "out").glob("a-*")) == ["a-seed0", "a-seed3"]


def test_reuse_keeps_what_is_finished_goes_on_with_what_is_not_and_retrains_what_changed(place):
    def calls(name):
        return (place / "out" / name / "calls").read_text().split()

    assert compared("A=config.py", "B=config.py") == 0
    (place / "out" / "b" / "result.json").unlink()
    assert compared("--reuse", "A=config.py", "B=config.py") == 0
    assert (calls("a"), calls("b")) == (["train"], ["train", "resume"])
    assert compared("A=config.py") == 0
    assert calls("a") == ["train", "train"]
    assert (place / "out" / "a" / "examples.json").is_file()
    assert compared("--reuse", "A=config.py,model.diverges=True") == 0
    assert calls("a") == ["train", "train", "train"]
    assert not (place / "out" / "a" / "examples.json").is_file()  # nothing of the former run stands in


def test_a_failing_row_stops_the_comparison(place, capfd):
    assert compared("A=config.py,model.fails=True", "B=config.py") == 2
    assert "error: row 'A' failed (exit status 1); its message stands above\n" in capfd.readouterr().err
    assert not (place / "out" / "b").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["config.py"], "is not NAME=CONFIG[,key=value,...]"),
        (["A=confg.py"], "did you mean config.py"),
        (["A=config.py", "B=config.py,model.app=1"], "did you mean 'model.ap'"),
        (["A=config.py", "--", "model.app=1"], "did you mean 'model.ap'"),
        (["A b=config.py", "a-B=config.py"], "names of rows must differ"),
        (["A=config.py", "--seeds", "0;1"], "--seeds must be whole numbers"),
        (["A=config.py", "--publish", "config.py"], "config.py has no <!-- table --> ... <!-- /table -->"),
        (["A=config.py", "--output", "config.py/out"], "output folder config.py/out cannot be made"),
    ],
)
def test_mistakes_are_said_before_anything_trains(place, capsys, arguments, message):
    assert compared(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not list(place.glob("out/*/calls"))


def test_a_row_s_commas_separate_overrides_alone():
    row = Row.parse("Two words=a/b.py,x.y=[1,2],+z={a: 1, b: 2},name=c")
    assert row == Row("Two words", "a/b.py", ("x.y=[1,2]", "+z={a: 1, b: 2}", "name=c"))
    assert row.slug == "two-words"


def test_a_document_keeps_what_is_around_the_marks(tmp_path):
    document = tmp_path / "a.md"
    document.write_text("before <!-- table -->x<!-- /table --> after <!-- /table -->")
    compare.publish(document, "T\n", "C")
    assert document.read_text() == (
        "before <!-- table -->\n\n```bash\nC\n```\n\nT\n\n<!-- /table --> after <!-- /table -->"
    )
    document.write_text("<!-- /table --> <!-- table -->")
    with pytest.raises(UserError):
        compare.publish(document, "T", "C")


def test_masks_have_a_column_where_a_run_has_them():
    result = {"diverged": False, "seconds_per_iteration": None, "peak_memory_mb": 1, "iterations": 2}
    rows = {"a": [result | {"metrics": {"bbox/AP": 1.26, "segm/AP": 2}}], "b": [result | {"metrics": {"bbox/AP": 1.3}}]}
    assert table.markdown(rows).splitlines()[0].startswith("|  | AP | mask AP |")
    assert table.markdown(rows).splitlines()[2:] == [
        "| a | **1.3** | **2.0** | n/a | 1 | 2 | no |",
        "| b | **1.3** | n/a | n/a | 1 | 2 | no |",
    ]


def test_diverged_runs_are_counted_and_leave_the_mean_alone():
    fine = {"diverged": False, "metrics": {"bbox/AP": 4}, "iterations": 9}
    wild = {"diverged": True, "metrics": {"bbox/AP": 90}, "iterations": 1}
    assert table.markdown({"a": [fine, wild, fine]}).splitlines()[2].startswith("| a | 4.0 ± 0.0 | ")
    assert table.markdown({"a": [fine, wild, fine]}).splitlines()[2].endswith(" | 1 of 3 |")


def test_torchvision_s_engine_trains_and_diverges_in_one_table(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(runs.ROOT)
    _, config_file, *shared = runs.arguments(tmp_path)
    rows = [f"Fine={config_file}", f"Wild={config_file},optimizer.lr=1e30"]
    shared = [text for text in shared if not text.startswith("train.output_dir")]
    assert compared_in(tmp_path / "out", *rows, "--", *shared) == 0
    fine, wild = records(tmp_path / "out" / "table.csv")
    assert (fine["diverged"], fine["iterations"], wild["diverged"], wild["AP"]) == ("0", "2", "1", "")
    assert float(fine["AP"]) >= 0 and float(fine["peak MB"]) > 100 and float(fine["s/iteration"]) > 0
    with Image.open(tmp_path / "out" / "losses.png") as picture:
        assert picture.size[0] > 500
