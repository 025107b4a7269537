"""Pictures: pixels at known places, figures of a run against sums by hand."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from sampling_free.errors import UserError
from sampling_free.pictures import (
    Box,
    Example,
    class_colors,
    draw_boxes,
    plot_losses,
    plot_precision_recall,
    read_examples,
    save_examples,
    save_grid,
    write_examples,
)
from sampling_free.pictures.curves import _loss_panel
from sampling_free.pictures.metrics import Curve, Metrics, read_json
from sampling_free.pictures.styles import panels_of, styles_of

GRAY = np.full((50, 100, 3), 100, np.uint8)


def run_folder(folder, rows, **result):
    folder.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(columns), *(",".join(str(row.get(name, "")) for name in columns) for row in rows)]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    if result:
        (folder / "result.json").write_text(
            str(result).replace("'", '"').replace("True", "true").replace("False", "false")
        )
    return folder


def colors_in(path):
    with Image.open(path) as picture:
        return {color for _, color in picture.convert("RGB").getcolors(2**24)}


def test_a_box_is_drawn_at_its_corners_and_nowhere_else():
    red = (213, 94, 0)
    drawn = draw_boxes(GRAY, [Box((10, 5, 60, 40), "cat")], side=200, colors={"cat": red})
    assert drawn.shape == (100, 200, 3)
    for x, y in ((20, 10), (120, 10), (20, 80), (120, 80), (70, 10), (20, 45)):
        assert tuple(drawn[y, x]) == red
    assert (drawn[20:70, 30:110] == 100).all() and (drawn[:, 140:] == 100).all()
    assert (GRAY == 100).all()


def test_a_class_and_its_score_stand_at_the_box():
    scored = draw_boxes(GRAY, [Box((10, 25, 60, 45), "weiße Blutzelle", 0.5)], side=100)
    truth = draw_boxes(GRAY, [Box((10, 25, 60, 45), "Zelle")], side=100)
    assert (scored[5:23, 65:95] != 100).any()  # as far as the class alone does not reach
    assert (truth[8:22, 10:40] != 100).any() and (truth[5:22, 70:] == 100).all()


def test_a_dashed_box_has_gaps():
    box = Box((10, 5, 60, 40), "cat", dashed=True)
    drawn = draw_boxes(GRAY, [box], side=400, colors={"cat": (213, 94, 0)})
    left_side = drawn[40:150, 40]
    assert {(213, 94, 0), (100, 100, 100)} <= set(map(tuple, left_side.tolist()))


def test_labels_do_not_hide_each_other():
    colors = {"first": (1, 2, 3), "second": (4, 5, 6)}
    boxes = [Box((20, 30, 80, 45), "first", 0.9), Box((20, 30, 80, 45), "second", 0.8)]
    together = draw_boxes(GRAY, boxes, side=400, colors=colors)
    alone = [draw_boxes(GRAY, [box], side=400, colors=colors) for box in boxes]
    areas = [(picture == color).all(axis=2).sum() for picture, color in zip(alone, colors.values(), strict=True)]
    label = areas[1] / 2  # half of what a label and its box paint
    assert (together == colors["second"]).all(axis=2).sum() > label


def test_a_mask_colours_its_own_pixels():
    mask = np.zeros((50, 100), bool)
    mask[10:20, 30:40] = True
    drawn = draw_boxes(GRAY, [Box((0, 0, 99, 49), "cat", mask=mask)], side=100, colors={"cat": (200, 100, 0)})
    np.testing.assert_allclose(drawn[15, 35], [140, 100, 60], atol=1)
    assert (drawn[30:40, 30:40] == 100).all() and (drawn[12:18, 45:60] == 100).all()


def test_the_higher_score_lies_on_top():
    colors = {"a": (1, 2, 3), "b": (250, 250, 250)}
    boxes = [Box((20, 20, 80, 40), "a", 0.9), Box((20, 20, 80, 40), "b", 0.4)]
    for order in (boxes, boxes[::-1]):
        assert tuple(draw_boxes(GRAY, order, side=100, colors=colors)[30, 80]) == (1, 2, 3)


def test_a_box_without_area_and_one_outside_are_no_error():
    draw_boxes(GRAY, [Box((30, 30, 20, 10), "a", 0.1), Box((-50, -50, -10, -10), "a"), Box((90, 45, 300, 300), "a")])


def test_eight_classes_have_colours_of_their_own():
    names = [f"class {i}" for i in range(8)]
    colors = class_colors(names)
    assert len(set(colors.values())) == 8
    assert colors == class_colors(names[::-1])
    assert len(class_colors([*names, "one more"])) == 9


def test_a_grid_holds_every_image_unchanged(tmp_path):
    colors = [(10, 200, 40 * i) for i in range(1, 6)]
    images = [np.full((20, 30, 3), color, np.uint8) for color in colors]
    save_grid(tmp_path / "new" / "grid.png", [images[:3], images[3:]], ["one", "two"], "a note")
    sheet = np.asarray(Image.open(tmp_path / "new" / "grid.png"))
    assert [int((sheet == color).all(axis=2).sum()) for color in colors] == [600] * 5
    tops = [np.where((sheet == color).all(axis=2))[0].min() for color in colors]
    assert tops[0] == tops[1] == tops[2] == tops[3] - 28 == tops[4] - 28


def test_examples_come_back_as_they_were_written(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    example = Example(tmp_path / "a.png", [Box((1.0, 2.0, 30.0, 40.0), "cat")], [Box((1.5, 2, 3, 4), "dog", 0.25)])
    write_examples(tmp_path / "examples.json", [example])
    assert read_examples(tmp_path / "examples.json") == [example]
    save_examples(tmp_path / "detections.png", {"ours": [example]})
    assert {(86, 180, 233), (230, 159, 0)} <= colors_in(tmp_path / "detections.png")


def test_an_example_whose_image_is_gone_names_it(tmp_path):
    with pytest.raises(UserError, match=r"gone\.png cannot be read"):
        Example(tmp_path / "gone.png", [], []).image()


def test_as_many_detections_are_shown_as_there_are_objects():
    truth, boxes = [Box((0, 0, 1, 1), "a")] * 2, [Box((5, 5, 6, 6), "a", score) for score in (0.2, 0.8, 0.3)]
    assert [box.score for box in Example(None, truth, boxes).judged()] == [0.8, 0.3, None, None]
    assert Example(None, [], boxes).judged() == []


def test_hits_are_solid_and_mistakes_dashed():
    truth = [Box((0, 0, 10, 10), "a"), Box((20, 0, 30, 10), "a"), Box((40, 0, 50, 10), "b")]
    found = [
        Box((0, 0, 10, 9), "a", 0.9),  # a hit
        Box((0, 0, 10, 10), "a", 0.8),  # a second one on the same object
        Box((40, 0, 50, 10), "a", 0.7),  # another class
    ]
    judged = Example(None, truth, found).judged()
    assert [(box.score, box.dashed) for box in judged] == [(0.9, False), (0.8, True), (0.7, True), (None, True)] + [
        (None, True)
    ]
    assert [box.corners for box in judged[3:]] == [truth[1].corners, truth[2].corners]


def test_a_method_has_one_colour_everywhere():
    names = ["RetinaNet, Focal Loss", "RetinaNet, mine", "RetinaNet, Sampling-Free"]
    (focal, mine, ours), (guided, ours_again) = styles_of(names), styles_of(["guided OHEM", "sampling-free"])
    assert ours == ours_again and ours["color"] == "#D55E00"
    assert focal["color"] == "#7F7F7F" and guided["linestyle"] == "--"
    assert mine["color"] not in (focal["color"], ours["color"])


def test_a_figure_has_one_detector_and_at_most_six_lines():
    assert panels_of(["Focal Loss", "Sampling-Free"]) == {"": ["Focal Loss", "Sampling-Free"]}
    assert panels_of(["A, x", "B, x", "A, y"]) == {"A": ["A, x", "A, y"], "B": ["B, x"]}
    rows = [f"method {i}" for i in range(8)]
    assert panels_of(rows) == {"1": rows[:6], "2": [rows[0], *rows[6:]]}


def test_raw_losses_of_all_heads_are_summed(tmp_path):
    rows = [
        {"step": 5, "loss_objectness": 1, "raw/loss_objectness": 10, "loss_classifier": 2, "raw/loss_classifier": 20},
        {"step": 10, "loss_objectness": 3, "raw/loss_objectness": 30, "loss_classifier": 4, "raw/loss_classifier": 40},
        {"step": 10, "bbox/AP": 7},
    ]
    metrics = Metrics(run_folder(tmp_path, rows) / "metrics.csv")
    names = ("loss_objectness", "loss_classifier", "loss_unknown")
    raw, scaled = metrics.total(names, raw=True), metrics.total(names)
    assert raw.steps.tolist() == [5, 10] and raw.values.tolist() == [30, 70]
    assert scaled.values.tolist() == [3, 7]
    assert metrics.curve("bbox/AP").steps.tolist() == [10]
    assert len(metrics.total(("loss_unknown",)).steps) == 0


def test_a_run_that_logs_no_raw_losses_has_the_others(tmp_path):
    metrics = Metrics(run_folder(tmp_path, [{"step": 1, "loss_cls": 3}]) / "metrics.csv")
    assert metrics.total(("loss_cls",), raw=True).values.tolist() == [3]


@given(st.integers(1, 200), st.integers(0, 9))
def test_smoothing_is_the_geometric_mean_around_each_value(count, seed):
    values = np.exp(np.random.default_rng(seed).normal(0, 3, count)).tolist()
    width = max(1, count // 30)
    smooth = Curve(np.arange(count, dtype=float), np.array(values)).smooth()
    for i, found in enumerate(smooth.values):
        first = i - width // 2  # of an even window the middle lies after its centre
        window = [values[j] for j in range(first, first + width) if 0 <= j < count]
        assert found == pytest.approx(math.prod(v ** (1 / len(window)) for v in window))


def test_a_quotient_has_the_steps_of_both():
    quotient = Curve(np.array([1.0, 2, 4]), np.array([2.0, 9, 8])) / Curve(np.array([2.0, 3, 4]), np.array([3.0, 1, 0]))
    assert quotient.steps.tolist() == [2, 4] and quotient.values.tolist() == [3, math.inf]
    assert quotient.positive().steps.tolist() == [2]


def losses(count, start=2.0, **more):
    return [{"step": i, "classification": start, "bbox_regression": 1 / i, **more} for i in range(1, count + 1)]


def test_every_run_has_its_line_and_a_diverged_one_its_cross(tmp_path):
    runs = {
        "fine": run_folder(tmp_path / "fine", [*losses(20), {"step": 20, "bbox/AP": 40}]),
        "diverged": run_folder(tmp_path / "diverged", losses(12, 1e30), diverged=True, iterations=12),
        "at once": run_folder(tmp_path / "at once", [{"step": ""}], diverged=True, iterations=0),
    }
    (tmp_path / "at once" / "metrics.csv").unlink()
    plot_losses(tmp_path / "losses.png", runs)
    assert {(0, 114, 178), (0, 158, 115)} <= colors_in(tmp_path / "losses.png")
    plot_losses(tmp_path / "fine.png", {"fine": runs["fine"]})
    assert (0, 158, 115) not in colors_in(tmp_path / "fine.png")


def test_a_run_on_its_way_to_infinity_leaves_room_for_the_others(tmp_path):
    for name, start in (("fine", 2.0), ("wild", 1e30)):
        run_folder(tmp_path / name, losses(5, start), diverged=name == "wild", iterations=5)
    metrics = {name: Metrics(tmp_path / name / "metrics.csv") for name in ("fine", "wild")}
    axes = Figure().subplots()
    _loss_panel(axes, metrics, lambda run: run.total(("classification",), raw=True))
    assert 100 < axes.get_ylim()[1] < 1000
    assert axes.get_legend_handles_labels()[1] == ["fine", "wild (diverged after iteration 5)"]


def test_precision_over_recall_of_one_run_shows_its_classes(tmp_path):
    recall = np.linspace(0, 1, 101).tolist()
    falling = [1 - value for value in recall]
    curves = {"recall": recall, "IoU 0.5": falling, "mean over IoU": falling}
    curves["classes at IoU 0.5"] = {"cat": [0.5 * value for value in falling]}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precision_recall.json").write_text(str(curves).replace("'", '"'))
    plot_precision_recall(tmp_path / "one.png", {"a": tmp_path / "a"})
    plot_precision_recall(tmp_path / "two.png", {"a": tmp_path / "a", "b": tmp_path / "b", "none": tmp_path})
    assert {(0, 114, 178), (213, 94, 0)} <= colors_in(tmp_path / "one.png")
    assert {(0, 114, 178), (0, 158, 115)} <= colors_in(tmp_path / "two.png")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"metrics\.csv cannot be read; is .* the output folder of a run\?"),
        ("step,loss\n", "has no rows yet"),
        ("a,b\n1,2\n", "has no column `step`"),
        ("step,loss_cls\n1,high\n", "column loss_cls holds what is no number"),
    ],
)
def test_what_is_no_run_is_said_in_a_sentence(tmp_path, text, message):
    if text is not None:
        (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        plot_losses(tmp_path / "losses.png", {"a": tmp_path})


def test_a_broken_json_is_named(tmp_path):
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(UserError, match=r"result\.json cannot be read"):
        read_json(tmp_path / "result.json")


def test_pictures_touch_no_global_figure_and_load_no_host():
    unwanted = "{'matplotlib.pyplot', 'torchvision', 'lightning'}"
    code = f"import sys, sampling_free.pictures; print({unwanted} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_picture_has_no_more_pixels_than_it_may(tmp_path):
    image = np.zeros((10, 20_000, 3), np.uint8)
    assert draw_boxes(image, [Box((0, 0, 9_000, 9), "a")], most=960).shape == (1, 960, 3)
    assert max(draw_boxes(image, []).shape) == 16_000
