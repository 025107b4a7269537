import builtins
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from sampling_free import config, lazy
from sampling_free.config import LazyCall as L
from sampling_free.errors import UserError

BASE = """
from sampling_free.config import LazyCall as L
import torch
model = L(torch.nn.Linear)(in_features=2, out_features=3, bias=False)
train = dict(max_iter=10, output_dir="output", steps=[1, 2], note=None)
optimizer = L(torch.optim.SGD)(params=None, lr=0.1, weight_decay="${..train.max_iter}")
engine = "some.engine"
_private = dict(a=1)
helper = 3
"""
CHILD = """
from ..base import engine, model, optimizer, train
model.out_features = 5
train.max_iter = 20
"""


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    (tmp_path / "base.py").write_text(BASE)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "child.py").write_text(CHILD)
    return tmp_path


def plain(cfg: object) -> object:
    """Everything compared as plain values, targets by their path."""
    return config._yaml_values(OmegaConf.to_container(cfg, resolve=False), "config")


def test_relative_imports_follow_the_files_and_share_nothing(configs):
    child = config.load(configs / "sub" / "child.py")
    base = config.load(configs / "base.py")
    assert (child.model.out_features, child.train.max_iter, child.engine) == (5, 20, "some.engine")
    assert (base.model.out_features, base.train.max_iter) == (3, 10)
    assert set(child) == {"engine", "model", "optimizer", "train"}
    layer = config.instantiate(child.model)
    assert layer.weight.shape == (5, 2) and layer.bias is None


def test_two_imports_of_one_base_do_not_see_each_other(configs):
    (configs / "a.py").write_text("from .base import model\nmodel.in_features = 7\nother = dict(model=model)")
    (configs / "b.py").write_text("from .a import other\nfrom .base import model")
    cfg = config.load(configs / "b.py")
    assert (cfg.other.model.in_features, cfg.model.in_features) == (7, 2)


def loaded(file):
    """What detectron2 loads of a file: the nodes, without the engine's name."""
    cfg = lazy.as_config(lazy.run_file(file))
    cfg.pop("engine", None)
    return cfg


def test_a_file_is_run_once(tmp_path):
    (tmp_path / "counted.py").write_text(
        "from pathlib import Path\n"
        "count = Path(__file__).with_name('count')\n"
        "count.write_text(count.read_text() + 'x' if count.exists() else 'x')\n"
        "model = {'a': 1}\nengine = 'some.engine'\n"
    )
    assert config.load(tmp_path / "counted.py").engine == "some.engine"
    assert (tmp_path / "count").read_text() == "x"


VARIANTS = """
def _shared(rate):
    return dict(model=dict(width=1), train=dict(output_dir=None), optimizer=dict(lr=rate), engine="some.engine")

def slow():
    "A low rate."
    return _shared(0.1)

def fast():
    return _shared(1.0) | {"model": {"width": 2}}

def helper(argument):
    pass
"""


def test_a_variant_is_what_its_function_returns(tmp_path):
    (tmp_path / "many.py").write_text(VARIANTS)
    slow = config.load(f"{tmp_path}/many.py:slow", ["model.width=5"])
    fast = config.load(f"{tmp_path}/many.py:fast")
    assert (slow.optimizer.lr, slow.model.width, slow.engine) == (0.1, 5, "some.engine")
    assert (fast.optimizer.lr, fast.model.width) == (1.0, 2)
    assert slow.train.output_dir == str(Path("output", tmp_path.name, "many", "slow"))
    assert config.variants(tmp_path / "many.py") == {"slow": "A low rate.", "fast": ""}


@pytest.mark.parametrize(
    ("variant", "sentence"),
    [
        ("", r"many\.py has several variants; write \S+many\.py:slow or another of them: slow, fast\."),
        (":", r"many\.py has several variants; write \S+many\.py:slow or another of them: slow, fast\."),
        (":slwo", r"many\.py has no variant 'slwo'; did you mean \S+many\.py:slow: slow, fast\."),
    ],
)
def test_a_missing_or_unknown_variant_lists_all(tmp_path, variant, sentence):
    (tmp_path / "many.py").write_text(VARIANTS)
    with pytest.raises(UserError, match=sentence):
        config.load(f"{tmp_path}/many.py{variant}")


def test_a_file_without_variants_says_so(tmp_path):
    (tmp_path / "one.py").write_text("model = {}\n")
    assert config.load(tmp_path / "one.py").model == {}
    with pytest.raises(UserError, match=r"one\.py has no variants; leave out ':x'"):
        config.load(f"{tmp_path}/one.py:x")


def test_own_loader_equals_detectron2s(configs):
    lazy_config = pytest.importorskip("detectron2.config")
    overrides = ["train.max_iter=5", "train.steps=[3,4,5]", "train.note='a, b'", "+train.new={a: 1, b: [x, 1e-3]}"]
    overrides += ["model.bias=true", "train.steps.1=9", "optimizer.lr=${train.max_iter}"]
    for file in ["base.py", "sub/child.py"]:
        ours = lazy.apply_overrides(loaded(configs / file), overrides)
        theirs = lazy_config.LazyConfig.apply_overrides(lazy_config.LazyConfig.load(str(configs / file)), overrides)
        assert plain(ours) == plain(theirs)
        assert OmegaConf.to_container(ours.train, resolve=True) == OmegaConf.to_container(theirs.train, resolve=True)
    variables = lazy.run_file(configs / "base.py")
    assert (variables["helper"], variables["engine"]) == (3, "some.engine")
    node = lazy.LazyCall(SimpleNamespace)(
        a=lazy.LazyCall("fractions.Fraction")(numerator=1, denominator=3), b=[1, {"c": 2}]
    )
    assert lazy.instantiate(config.plain(node)) == lazy_config.instantiate(config.plain(node))


def test_the_shipped_configs_load_alike_in_both():
    lazy_config = pytest.importorskip("detectron2.config")
    files = sorted((Path(__file__).parents[1] / "configs" / "torchvision").rglob("*.py"))
    assert files
    for file in files:
        ours, theirs = loaded(file), lazy_config.LazyConfig.load(str(file))
        assert plain(ours) == plain(theirs), file


def test_detectron2_is_no_folder_of_ours():
    found = importlib.util.find_spec("detectron2")
    ours = [Path(__file__).parents[1] / name for name in ("tests", "sampling_free")]
    assert found is None or not set(ours) & set(Path(str(found.origin)).parents)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.max_iters=5", ["'train.max_iters'", "did you mean 'train.max_iter'", "+train.max_iters"]),
        ("max_iter=5", ["did you mean 'train.max_iter'"]),
        ("modle.bias=true", ["did you mean 'model.bias'"]),
        ("train.max_iter.x=1", ["'train.max_iter' is the value 10", "'x'"]),
        ("train.steps.7=1", ["Unknown config key 'train.steps.7'"]),
        ("train.max_iter", ["cannot be read", "key=value"]),
        ("train.steps=[1", ["cannot be read"]),
        ("~train.max_iter", ["deletes or sweeps"]),
        ("train.max_iter=1,2", ["deletes or sweeps"]),
        ("--resume", ["--resume", "options go before"]),
        ("+train.max_iter.x=1", ["'train.max_iter' is the value 10"]),
    ],
)
def test_overrides_that_are_refused(configs, override, words):
    cfg = config.load(configs / "base.py")
    before = plain(cfg)
    with pytest.raises(UserError) as error:
        config.apply_overrides(cfg, [override])
    assert all(word in str(error.value) for word in words), str(error.value)
    assert plain(cfg) == before


def test_overrides_that_are_taken(configs):
    cfg = config.load(configs / "base.py", ["train.note=x", "train.steps.0=8", "+train.new.key=3", "train.note=y"])
    assert cfg.train == {"max_iter": 10, "output_dir": "output", "steps": [8, 2], "note": "y", "new": {"key": 3}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model = dict(\n", ["syntax error", "line"]),
        ("from .base import mode", ["mode"]),
        ("from .bas import model", ["bas.py"]),
        ("import torch\n\nmodel = torch.nn.Liner", ["line 3", "AttributeError", "Liner"]),
        ("import no_such_package", ["no_such_package", "not installed"]),
        ("train = dict(a=1)", ["defines no `model`", "train"]),
    ],
)
def test_config_files_that_fail(configs, text, words):
    file = configs / "bad.py"
    file.write_text(text)
    before = builtins.__import__
    with pytest.raises(UserError) as error:
        config.load(file)
    assert all(word in str(error.value) for word in [str(file.parent), *words]), str(error.value)
    assert builtins.__import__ is before


def test_syntax_error_in_a_base_names_the_base(configs):
    (configs / "base.py").write_text("x = 1\nmodel = (\n")
    with pytest.raises(UserError, match=r"base\.py has a syntax error in line 2"):
        config.load(configs / "sub" / "child.py")


def test_missing_files_and_wrong_kinds(configs):
    with pytest.raises(UserError, match=r"does not exist; did you mean .*base\.py"):
        config.load(configs / "bsae.py")
    with pytest.raises(UserError, match="does not exist"):
        config.load(configs / "nowhere" / "x.py")
    with pytest.raises(UserError, match=r"must be a \.py"):
        config.load(configs / "x.json")


def test_a_detectron2_config_without_detectron2_says_how_to_get_it(configs, monkeypatch):
    (configs / "d2.py").write_text("from detectron2.config import LazyCall\nmodel = dict()")
    monkeypatch.setattr(sys, "meta_path", [_NoDetectron2(), *sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "detectron2"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UserError, match="make setup-detectron2"):
        config.load(configs / "d2.py")


class _NoDetectron2:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "detectron2":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_instantiate_names_key_and_target():
    node = L(torch.nn.Sequential)(arg=L(torch.nn.Linear)(in_features=1, out_feature=2))
    with pytest.raises(UserError, match=r"model\.arg \(torch\.nn\.modules\.linear\.Linear\): .*'out_feature'"):
        config.instantiate(node, "model")
    with pytest.raises(UserError, match=r"model \(torch\.nn\.modules\.linear\.Linear\): .*'in_features'"):
        config.instantiate(L(torch.nn.Linear)(out_features=2), "model")
    with pytest.raises(UserError, match=r"optimizer: there is nothing callable at torch\.optim\.SDG"):
        config.instantiate({"_target_": "torch.optim.SDG"}, "optimizer")


def test_instantiate_hands_over_plain_lists_and_dicts():
    values = config.instantiate(L(SimpleNamespace)(sizes=[[1, 2], [3]], nested={"a": [1]}))
    assert type(values.sizes) is list and type(values.sizes[0]) is list
    assert type(values.nested) is dict and type(values.nested["a"]) is list


def test_a_fault_inside_a_constructor_keeps_its_traceback():
    with pytest.raises(TypeError, match="bad operand"):
        config.instantiate(L(_faulty)(x="a"))


def _faulty(x):
    return -x


def test_saved_config_loads_back_to_the_same_objects(configs):
    cfg = config.load(configs / "sub" / "child.py")
    cfg.model = L(torch.nn.LazyLinear)(out_features=4)
    cfg.extra = L(SimpleNamespace)(norm=torch.nn.BatchNorm2d, pair=(1, 2.5), text="1e-3", off=None)
    config.save(cfg, configs / "saved.yaml")
    again = config.load(configs / "saved.yaml")
    assert again.optimizer.weight_decay == 20  # resolved
    assert again.model._target_ == "torch.nn.modules.linear.LazyLinear"
    expected = SimpleNamespace(norm=torch.nn.BatchNorm2d, pair=[1, 2.5], text="1e-3", off=None)
    assert config.instantiate(again.extra) == expected
    assert [file.name for file in configs.glob("saved*")] == ["saved.yaml"]


def test_a_value_that_yaml_cannot_hold_is_said(configs, caplog):
    cfg = config.load(configs / "base.py")
    cfg.train.note = object()
    config.save(cfg, configs / "saved.yaml")
    assert "config.train.note" in caplog.text
    assert "object at" in config.load(configs / "saved.yaml").train.note


@pytest.mark.parametrize("target", ["Shapes", "CocoDetection"])
def test_an_argument_that_a_call_takes_may_be_set_though_the_config_does_not_name_it(target, tmp_path):
    file = tmp_path / "a.py"
    file.write_text(
        "from sampling_free.config import LazyCall as L\n"
        f"from sampling_free.torchvision.train.datasets import {target}\n"
        f"model = L({target})(root='x')\n"
    )
    assert config.load(file, ["model.strict=true"]).model.strict is True
    with pytest.raises(UserError, match="Unknown config key 'model.strikt'"):
        config.load(file, ["model.strikt=true"])


@pytest.mark.parametrize("text", ["2024", "2024_01_05", "übung", "run (1)", "lr=0.02", "~/run", "a,b"])
def test_a_text_may_be_any_text(text):
    cfg = config.as_config({"train": {"output_dir": "output/a", "prior": "auto", "max_iter": 3}})
    assert config.apply_overrides(cfg, [f"train.output_dir={text}"]).train.output_dir == text
    assert config.apply_overrides(cfg, ["train.prior=0.01", "train.max_iter=5"]).train == {
        "output_dir": cfg.train.output_dir, "prior": 0.01, "max_iter": 5,
    }  # fmt: skip
    with pytest.raises(UserError, match="cannot be read"):
        config.apply_overrides(cfg, ["train.max_iter=übung"])


def test_an_interpolation_of_nothing_is_one_sentence():
    cfg = config.as_config({"model": {"size": "${model.sise}"}})
    with pytest.raises(UserError, match="the config's model.size cannot be resolved: Interpolation key 'model.sise'"):
        config.plain(cfg)
