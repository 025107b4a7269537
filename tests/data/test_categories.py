"""Classes of a file and of a model: matched by name, or refused in words that tell names apart."""

import pytest

from sampling_free.data.categories import difference, matched
from sampling_free.errors import UserError

LABELS = {1: "disc", 2: "square", 3: "ring"}


def named(*names):
    return [{"id": 10 + i, "name": name} for i, name in enumerate(names)]


def test_a_category_has_the_label_of_its_name_whatever_its_place():
    assert matched(LABELS, named("square", "disc"), {10, 11}, "val.json") == {10: 2, 11: 1}


def test_a_class_that_the_model_does_not_know_is_refused_where_it_has_boxes():
    assert matched(LABELS, named("disc", "star"), {10}, "val.json") == {10: 1}
    with pytest.raises(UserError, match=r"^val.json has boxes of star, which is no class .*\(disc, square, ring\)"):
        matched(LABELS, named("disc", "star"), {10, 11}, "val.json")


@pytest.mark.parametrize(
    ("name", "hint"), [("Disc ", "did you mean 'disc'"), ("ﬁg", "differs from fig in its Unicode form alone")]
)
def test_names_that_look_alike_are_told_apart(name, hint):
    with pytest.raises(UserError, match=hint):
        matched(LABELS | {4: "fig"}, named(name), {10}, "val.json")
    with pytest.raises(UserError, match="caf.* differs from caf.* in its Unicode form"):
        matched({0: "caf\u00e9"}, named("cafe\u0301"), {10}, "val.json")


def test_the_first_label_of_two_names_is_said():
    assert difference(LABELS, dict(LABELS)) == ""
    assert difference(LABELS, LABELS | {2: "star"}) == "class 2 is 'square' there and 'star' here"
    assert difference(LABELS, {1: "disc", 2: "square"}) == "class 3 is 'ring' there and absent here"
