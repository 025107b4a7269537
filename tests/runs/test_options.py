import pytest

from sampling_free.errors import UserError
from sampling_free.runs.options import POSITIVE, SHARED, check_options, null_or, whole

GOOD = {"init_checkpoint": "", "max_iter": 1, "eval_period": 0, "log_period": 1, "seed": 0}
GOOD |= {"clip_grad": None, "prior": "auto", "gradient_shares": False}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_iter", 0),
        ("max_iter", 1.5),
        ("max_iter", True),
        ("seed", -1),
        ("clip_grad", 0),
        ("prior", 1.0),
        ("seed", 2**40),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name, value):
    check_options(GOOD, SHARED)
    with pytest.raises(UserError, match=f"train.{name} must be"):
        check_options(GOOD | {name: value}, SHARED)


def test_a_missing_key_is_named():
    with pytest.raises(UserError, match="no train.amp.period"):
        check_options({}, {"period": whole(1)}, where="train.amp")
    check_options({"norm": None}, {"norm": null_or(POSITIVE)})
